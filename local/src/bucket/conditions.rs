//! What a request says of the object that it is about: how S3 judges it.

use s3s::dto::{ETagCondition, Timestamp};
use s3s::{S3Result, s3_error};

use super::{no_such_key, time};
use crate::store::Object;

/// The conditions of a request.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Conditions<'r> {
    pub(super) if_match: Option<&'r ETagCondition>,
    pub(super) if_none_match: Option<&'r ETagCondition>,
    pub(super) modified_since: Option<&'r Timestamp>,
    pub(super) unmodified_since: Option<&'r Timestamp>,
    pub(super) size: Option<i64>,
    pub(super) modified: Option<&'r Timestamp>,
}

/// What a request says of the object that it reads, or in members of other names of the one that it copies.
macro_rules! conditions_of {
    ($input:expr, $if_match:ident, $if_none_match:ident, $modified_since:ident, $unmodified_since:ident) => {
        Conditions {
            if_match: $input.$if_match.as_ref(),
            if_none_match: $input.$if_none_match.as_ref(),
            modified_since: $input.$modified_since.as_ref(),
            unmodified_since: $input.$unmodified_since.as_ref(),
            ..Conditions::default()
        }
    };
    (read $input:expr) => {
        conditions_of!($input, if_match, if_none_match, if_modified_since, if_unmodified_since)
    };
    (copy $input:expr) => {
        conditions_of!(
            $input,
            copy_source_if_match,
            copy_source_if_none_match,
            copy_source_if_modified_since,
            copy_source_if_unmodified_since
        )
    };
}
pub(super) use conditions_of;

impl<'r> Conditions<'r> {
    pub(super) fn on_write(
        if_match: Option<&'r ETagCondition>,
        if_none_match: Option<&'r ETagCondition>,
    ) -> S3Result<Self> {
        if if_none_match.is_some_and(|refused| *refused != ETagCondition::Any) {
            return Err(s3_error!(NotImplemented, "a write takes If-None-Match: * and no ETag"));
        }
        Ok(Self { if_match, if_none_match, ..Self::default() })
    }

    pub(super) fn is_any(&self) -> bool {
        self.if_match.is_some() || self.if_none_match.is_some()
    }

    /// Of a write or a removal.
    pub(super) fn check(&self, standing: Option<&Object>) -> S3Result<()> {
        let Some(object) = standing else {
            // what is not there is not what somebody has seen
            return if self.if_match.is_some() { Err(no_such_key()) } else { Ok(()) };
        };
        let size = i64::try_from(object.size).unwrap_or(i64::MAX);
        let holds = self.if_match.is_none_or(|wanted| is(wanted, object))
            && self.if_none_match.is_none_or(|refused| !is(refused, object))
            && self.size.is_none_or(|wanted| wanted == size)
            && self.modified.is_none_or(|wanted| second(object) == *wanted);
        if holds {
            Ok(())
        } else {
            Err(s3_error!(PreconditionFailed, "what stands there is not as expected"))
        }
    }

    /// Of a read.
    pub(super) fn check_read(&self, object: &Object) -> S3Result<()> {
        self.check_seen(object)?;
        let is_same = match (self.if_none_match, self.modified_since) {
            // the ETag goes before the time
            (Some(refused), _) => is(refused, object),
            (None, Some(since)) => second(object) <= *since,
            (None, None) => false,
        };
        if !is_same {
            return Ok(());
        }
        let mut error = s3_error!(NotModified, "the object is as it was");
        let named = http::HeaderValue::from_str(&format!("\"{}\"", object.etag)).ok();
        error.set_headers(named.into_iter().map(|etag| (http::header::ETAG, etag)).collect());
        Err(error)
    }

    /// Of what is copied.
    pub(super) fn check_source(&self, object: &Object) -> S3Result<()> {
        self.check_read(object)
            .map_err(|_| s3_error!(PreconditionFailed, "what is to be copied is not as expected"))
    }

    fn check_seen(&self, object: &Object) -> S3Result<()> {
        let holds = match (self.if_match, self.unmodified_since) {
            (Some(wanted), _) => is(wanted, object),
            (None, Some(since)) => second(object) <= *since,
            (None, None) => true,
        };
        if holds { Ok(()) } else { Err(s3_error!(PreconditionFailed, "the object is not as expected")) }
    }
}

fn is(condition: &ETagCondition, object: &Object) -> bool {
    match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(etag) => etag.value() == object.etag,
    }
}

/// HTTP's times are whole seconds.
fn second(object: &Object) -> Timestamp {
    time(object.modified.div_euclid(1000) * 1000)
}
