//! From a request's head to a call, or to the first reason why not.
//!
//! The order is part of the contract: route, method, key, size and header values. What a
//! request may learn from its refusal depends on it: nobody without the key learns whether
//! a session, or even a bucket, exists.

use super::accept::Preference;
use super::fields::Fields;
use super::path::{Route, SETTINGS, Segment};
use super::{Call, Intent, KeyCall, KeyVerb, Problem, Reply, SessionCall, Settings};
use crate::http::{BodyLength, HttpVersion, Method, Persistence, RequestHead};
use crate::registry::{Grant, Replica};
use crate::types::{BucketName, SessionId};

/// Who sent the request, as far as the socket tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Caller {
    /// Whether it connected from this machine's loopback.
    pub is_loopback: bool,
}

/// Judges heads on one core.
pub struct Judge<'c> {
    /// What the interface is set to.
    pub settings: &'c Settings,
    /// The core's copy of the registry.
    pub replica: &'c Replica,
    /// Whether the server is about to stop, and each connection closes after its next answer.
    pub is_draining: bool,
}

impl Judge<'_> {
    /// How the answer to this head must be written, whatever it will be.
    pub fn reply(&self, head: &RequestHead<'_>) -> Reply {
        let persistence = match (head.keep_alive() && !self.is_draining, head.version()) {
            (false, _) => Persistence::Close,
            (true, HttpVersion::Http10) => Persistence::KeepAliveHttp10,
            (true, HttpVersion::Http11) => Persistence::KeepAlive,
        };
        Reply { bucket: None, json: false, omit_body: head.method() == Method::Head, persistence }
    }

    /// The call that the head makes. `content_type` becomes the media type of its data, and
    /// empty where it has none.
    pub fn judge(
        &self,
        head: &RequestHead<'_>,
        caller: Caller,
        content_type: &mut Vec<u8>,
    ) -> Result<Call, Problem> {
        content_type.clear();
        let route = Route::of(head).ok_or(Problem::NoRoute)?;
        if !route.takes(head.method()) {
            return Err(Problem::Method(route.allow()));
        }
        let mut fields = Fields::of(head);
        let has_query_key = head.query().is_some_and(|query| fields.key.add_query(query));
        if has_query_key && !self.settings.query_key {
            return Err(Problem::Unauthorized);
        }
        let mut reply = self.reply(head);
        // Read only where there are two forms: most requests have one answer alone.
        reply.json = route.has_json_form() && Preference::of(head).prefers_json();
        let is_local = caller.is_loopback && !fields.is_forwarded;
        match route {
            Route::Settings => self.judge_settings(&fields, is_local, head, reply),
            Route::Key(name) => self.judge_key(name, &fields, is_local, (head, reply)),
            Route::Bucket(name) => {
                let (bucket, grant) = self.grant(name, &fields)?;
                reply.bucket = Some(bucket);
                self.check_size(head)?;
                let own_ttl = fields.own_ttl(self.settings.max_ttl)?;
                let media_type = fields.content_type()?;
                fields.encoding()?;
                keep(media_type, content_type);
                Ok(Call::Session(SessionCall { grant, intent: Intent::Create { own_ttl }, reply }))
            }
            Route::Session(name, id) => {
                let (_, grant) = self.grant(name, &fields)?;
                self.check_size(head)?;
                let intent = self.intent(head.method(), id, &mut fields, content_type)?;
                Ok(Call::Session(SessionCall { grant, intent, reply }))
            }
        }
    }

    fn judge_settings(
        &self,
        fields: &Fields<'_>,
        is_local: bool,
        head: &RequestHead<'_>,
        reply: Reply,
    ) -> Result<Call, Problem> {
        let key = fields.key.as_bytes();
        let is_master = self.settings.masters.opens(key, is_local);
        let grant = self.replica.judge_any(key);
        if !is_master && grant.is_none() {
            return Err(Problem::Unauthorized);
        }
        self.check_size(head)?;
        Ok(Call::Settings { grant, reply })
    }

    fn judge_key(
        &self,
        name: Segment<'_>,
        fields: &Fields<'_>,
        is_local: bool,
        (head, mut reply): (&RequestHead<'_>, Reply),
    ) -> Result<Call, Problem> {
        if !self.settings.masters.opens(fields.key.as_bytes(), is_local) {
            return Err(Problem::Unauthorized);
        }
        self.check_size(head)?;
        let verb = match head.method() {
            Method::Put => KeyVerb::Make,
            Method::Delete => KeyVerb::Remove,
            _ => KeyVerb::Read,
        };
        let bucket = name.as_deref().and_then(BucketName::parse);
        match (bucket, verb) {
            (Some(bucket), KeyVerb::Make) if bucket.as_str().as_bytes() == SETTINGS => {
                Err(Problem::BucketReserved)
            }
            (Some(bucket), verb) => {
                reply.bucket = Some(bucket);
                Ok(Call::Key(KeyCall { bucket, verb, reply }))
            }
            (None, KeyVerb::Make) => Err(Problem::BucketName),
            (None, _) => Err(Problem::NoKey),
        }
    }

    /// The bucket that the request names and its key opens. A name that no bucket can have is
    /// judged like one that no bucket has.
    fn grant(&self, name: Segment<'_>, fields: &Fields<'_>) -> Result<(BucketName, Grant), Problem> {
        let bucket = name.as_deref().and_then(BucketName::parse);
        let asked = bucket.or_else(|| BucketName::parse(SETTINGS)).ok_or(Problem::Unauthorized)?;
        let grant = self.replica.judge(&asked, fields.key.as_bytes());
        bucket.zip(grant).ok_or(Problem::Unauthorized)
    }

    fn check_size(&self, head: &RequestHead<'_>) -> Result<(), Problem> {
        let limit = self.settings.payload_bytes_max as u64;
        match head.body_length() {
            BodyLength::Known(size) if size > limit => Err(Problem::TooLarge { limit, size: Some(size) }),
            BodyLength::None | BodyLength::Known(_) | BodyLength::Chunked => Ok(()),
        }
    }

    fn intent(
        &self,
        method: Method,
        id: Segment<'_>,
        fields: &mut Fields<'_>,
        content_type: &mut Vec<u8>,
    ) -> Result<Intent, Problem> {
        let id = id.as_deref().and_then(SessionId::parse).ok_or(Problem::NoSession);
        match method {
            Method::Post => {
                let own_ttl = fields.own_ttl(self.settings.max_ttl)?;
                let (media_type, encoding) = (fields.content_type()?, fields.encoding());
                let conditions = fields.conditions()?;
                encoding?;
                keep(media_type, content_type);
                Ok(Intent::Update { id: id?, own_ttl, conditions })
            }
            Method::Delete => {
                let conditions = fields.conditions()?;
                Ok(Intent::Delete { id: id?, conditions })
            }
            _ => {
                let is_peek = fields.peek()? || method == Method::Head;
                let conditions = fields.conditions()?;
                Ok(Intent::Read { id: id?, touch: !is_peek, conditions })
            }
        }
    }
}

fn keep(value: &[u8], place: &mut Vec<u8>) {
    debug_assert!(value.len() <= super::CONTENT_TYPE_LEN_MAX);
    place.extend_from_slice(value);
}
