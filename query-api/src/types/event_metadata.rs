//! `EventMetadata`: who asked for what an event records, and why.

use async_graphql::Object;
use cauri_event_schemas::record::Metadata;

/// Metadata of an event.
pub struct EventMetadata(pub(crate) Metadata);

/// Who asked for what an event records, and why.
#[Object]
impl EventMetadata {
    /// Who asked, as `role:subject`; `engine` where nobody did.
    async fn actor(&self) -> &str {
        self.0.actor.as_str()
    }

    /// In whose name the command's id counts: `ISSUER ID`, or `import/SOURCE`. Null on the engine's own events, and on
    /// those that were written before commands named their caller.
    async fn caller(&self) -> Option<&str> {
        self.0.caller.as_ref().map(|caller| caller.as_str())
    }

    /// The command's id: the caller's idempotency key, or one that was made for it.
    async fn command(&self) -> &str {
        self.0.command.as_str()
    }

    /// What made the caller ask: another system's id.
    async fn causation(&self) -> Option<&str> {
        self.0.causation.as_ref().map(|causation| causation.as_str())
    }

    /// What this belongs to, through all systems.
    async fn correlation(&self) -> Option<&str> {
        self.0.correlation.as_ref().map(|correlation| correlation.as_str())
    }

    /// What the command asked, as `2:` and 32 hexadecimal digits (without `2:` in journal format 1); on the first event of a command only.
    async fn fingerprint(&self) -> Option<String> {
        self.0.fingerprint.map(|fingerprint| fingerprint.to_string())
    }

    /// W3C trace context of the request.
    async fn traceparent(&self) -> Option<&str> {
        self.0.traceparent.as_ref().map(|traceparent| traceparent.as_str())
    }
}
