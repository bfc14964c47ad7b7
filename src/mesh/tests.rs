//! Tests of the mesh as a whole: nodes, conversations and a network between them, in one
//! thread and on a virtual clock. `directed` tells single stories, `simulation` draws
//! thousands of requests from a seed and compares every answer with a model, `crashes` ends
//! whole servers at any point and asks what is left, `damage` does so where bits of what was
//! synced have flipped, `foresight` tells whose sessions are looked
//! at before their turn.

mod answer;
mod crashes;
mod damage;
mod directed;
mod foresight;
mod keys;
mod ledger;
mod model;
mod requests;
mod scale;
mod simulation;
mod world;
mod wounds;
