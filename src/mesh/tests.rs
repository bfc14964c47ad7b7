//! Tests of the mesh as a whole: nodes, conversations and a network between them, in one
//! thread and on a virtual clock. `directed` tells single stories, `simulation` draws
//! thousands of requests from a seed and compares every answer with a model.

mod answer;
mod directed;
mod keys;
mod model;
mod requests;
mod simulation;
mod world;
