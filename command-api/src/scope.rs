//! In whose name a request's commands are, and under which ids.

use cauri_domain::LedgerCommand;
use cauri_domain::ids::{Caller, CommandId, CommandKey};
use cauri_domain::text::ShortText;
use cauri_engine::CommandEnvelope;
use cauri_http::auth::role::Permission;
use cauri_http::auth::token::Principal;
use cauri_http::headers::{CAURI_IMPORT, CAURI_ON_BEHALF_OF};
use cauri_http::problem::{Problem, kind};

use crate::command::Asked;
use crate::headers::{CommandHeaders, fresh_command_id};

/// Where the idempotency keys of a request count, and what its records will say of who asked.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    caller: Caller,
    actor: ShortText,
    /// Whose commands of journal format 1 may be repeated; the actor's if absent.
    subject: Option<ShortText>,
    /// Commands that move money may come without a key.
    keys_optional: bool,
}

impl Scope {
    /// The scope of a request: the caller's own, that of the caller for whom an admin asks, or that of a source of files.
    ///
    /// # Errors
    /// 403 when somebody who is no admin asks on behalf of another; 400 when the headers contradict each other.
    pub(crate) fn of(headers: &CommandHeaders, principal: &Principal, keys_optional: bool) -> Result<Self, Problem> {
        let actor = principal.actor().clone();
        let own = Self { caller: principal.caller().clone(), actor, subject: None, keys_optional };
        match (&headers.on_behalf_of, &headers.import) {
            (None, None) => Ok(own),
            (None, Some(import)) => Ok(Self { caller: import.clone(), ..own }),
            (Some(id), None) => {
                principal.require(Permission::Administer)?;
                let issuer = own.caller.issuer_and_id().map_or("", |(issuer, _)| issuer);
                let caller = Caller::of_issuer(issuer, id.as_str())
                    .map_err(|error| Problem::of(&kind::VALIDATION_FAILED, format!("the header {CAURI_ON_BEHALF_OF}: {error}")))?;
                Ok(Self { caller, subject: Some(id.clone()), ..own })
            }
            (Some(_), Some(_)) => Err(Problem::of(
                &kind::VALIDATION_FAILED,
                format!("a request has {CAURI_ON_BEHALF_OF} or {CAURI_IMPORT}, not both: each says where its keys count"),
            )),
        }
    }

    /// What is asked, as the command that is submitted: under `key`, under the id that the caller made for an entry, or
    /// under an id that is made for it.
    ///
    /// # Errors
    /// When it moves money and has neither key nor id: sent twice, it would move it twice.
    pub(crate) fn command(
        &self,
        headers: &CommandHeaders,
        asked: impl Into<Asked>,
        key: Option<CommandId>,
    ) -> Result<CommandEnvelope<LedgerCommand>, MissingKey> {
        let asked = asked.into();
        let (made, moves_money) = match &asked {
            Asked::Post(post) => (post.id, true),
            Asked::Command(command) => (None, command.moves_money()),
        };
        // The text of a UUID is visible ASCII.
        let made = || made.and_then(|id| id.to_string().parse().ok());
        let id = match key.or_else(made) {
            Some(id) => id,
            None if moves_money && !self.keys_optional => return Err(MissingKey),
            None => fresh_command_id(),
        };
        let key = CommandKey::new(self.caller.clone(), id);
        let command = match asked {
            Asked::Command(command) => command,
            Asked::Post(post) => LedgerCommand::post_entry(post, &key),
        };
        let mut envelope = CommandEnvelope::new(command, key, self.actor.clone());
        envelope.subject.clone_from(&self.subject);
        envelope.causation.clone_from(&headers.causation);
        envelope.correlation.clone_from(&headers.correlation);
        envelope.traceparent.clone_from(&headers.traceparent);
        envelope.expected_version = headers.expected_version;
        Ok(envelope)
    }
}

/// A command that moves money came without a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a command that moves money needs an Idempotency-Key (in bulk `idempotency_key`), or for a new entry an `id` made by the caller: \
     without one, sending it twice would move the money twice"
)]
pub(crate) struct MissingKey;

impl From<MissingKey> for Problem {
    fn from(missing: MissingKey) -> Self {
        Problem::of(&kind::IDEMPOTENCY_KEY_MISSING, missing.to_string())
    }
}
