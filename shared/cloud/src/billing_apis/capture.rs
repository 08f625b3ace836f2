//! The bytes of an answer, taken aside while the SDK reads them.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_costexplorer::config::interceptors::AfterDeserializationInterceptorContextRef;
use aws_sdk_costexplorer::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_costexplorer::error::BoxError;
use bytes::Bytes;

/// Clones share what was taken.
#[derive(Clone, Debug, Default)]
pub(super) struct Capture(Arc<Mutex<Bytes>>);

impl Capture {
    /// The body of the last answer; empty if none came to its end.
    pub(super) fn taken(&self) -> Bytes {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Intercept for Capture {
    fn name(&self) -> &'static str {
        "Capture"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(body) = context.response().body().bytes() {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Bytes::copy_from_slice(body);
        }
        Ok(())
    }
}
