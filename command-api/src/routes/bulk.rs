//! `/v1/bulk`: many commands in one request, each for itself or all or none.

use std::fmt::Write as _;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use cauri_domain::LedgerCommand;
use cauri_domain::RefusalCode;
use cauri_domain::ids::{AccountAddress, CommandId, EntryId};
use cauri_domain::ledger::LedgerStream;
use cauri_domain::time::Timestamp;
use cauri_engine::{Answer, CommandEnvelope, Mode, Outcome};
use cauri_event_schemas::{Position, StreamVersion};
use cauri_http::auth::layer::{Authorized, Write};
use cauri_http::body::{Arrived, require, whole};
use cauri_http::headers::{CAURI_POSITION, IDEMPOTENCY_REPLAYED};
use cauri_http::json::decode;
use cauri_http::problem::{FieldProblem, PROBLEM_JSON, Problem, kind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::answer::{Status, Target, json, mismatch, problem_of, put, repeated, rule_failed, token};
use crate::body::account;
use crate::bulk::{BulkItem, items_of_array};
use crate::headers::CommandHeaders;
use crate::scope::{MissingKey, Scope};
use crate::state::ApiState;

/// The media type of commands one a line.
pub const NDJSON: &str = "application/x-ndjson";
/// A body up to this size is read where it is; a larger one on a thread of its own, so that others are not kept waiting.
const READ_IN_PLACE: usize = 64 * 1024;
/// An answer names at most this many mistakes: who made more has made the same one many times.
const MOST_MISTAKES: usize = 100;

/// What became of a bulk request.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct BulkAnswer {
    /// Whether it was all or none.
    pub atomic: bool,
    /// How many commands were accepted.
    pub accepted: usize,
    /// How many were refused.
    pub refused: usize,
    /// How many were for another version.
    pub version_mismatches: usize,
    /// How many were decided earlier, and answered as then.
    pub replayed: usize,
    /// The consistency token: a query that is given it sees at least all of these commands.
    pub position: String,
    /// The last position in the journal that any of them wrote.
    #[schemars(with = "u64")]
    pub journal_position: Position,
    /// One result a command, in order.
    pub results: Vec<BulkResult>,
}

/// What became of one command of a bulk request.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct BulkResult {
    /// Its place in the request, from 0.
    pub index: usize,
    /// What became of it.
    pub status: Status,
    /// Its idempotency key: its own, the request's with its index, or one that was made for it.
    pub idempotency_key: CommandId,
    /// The account that it was for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<AccountAddress>,
    /// The entry that it was for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<EntryId>,
    /// The name of what it was for, where it is neither an account nor an entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The version of the target's stream: after the command, or as it is where another one was expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u64>")]
    pub version: Option<StreamVersion>,
    /// The last position in the journal that it wrote: of its events, or of its refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u64>")]
    pub journal_position: Option<Position>,
    /// When the engine wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded_at: Option<Timestamp>,
    /// The entry that it wrote besides: the opposite entry of a reversal, the sweep of a closed account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry_id: Option<EntryId>,
    /// It was decided earlier; this is the first answer again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replayed: Option<bool>,
    /// Which rule said no.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<RefusalCode>")]
    pub code: Option<&'static str>,
    /// What a person needs to know of the refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Where in the command, as a JSON pointer into the item.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// Index of the command because of which nothing of this one was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because_of: Option<usize>,
}

impl BulkResult {
    fn new(index: usize, status: Status, asked: &AskedFor, target: &Target) -> Self {
        Self {
            index,
            status,
            idempotency_key: asked.key.clone(),
            address: target.address(),
            id: target.id(),
            name: target.name(),
            version: None,
            journal_position: None,
            recorded_at: None,
            entry_id: None,
            replayed: None,
            code: None,
            detail: None,
            pointer: None,
            because_of: None,
        }
    }

    fn of(index: usize, asked: &AskedFor, outcome: &Outcome<LedgerStream>) -> Self {
        let target = &asked.target.clone().into_recorded(outcome);
        match outcome {
            Outcome::Accepted(accepted) => Self {
                version: Some(accepted.version),
                journal_position: Some(accepted.last),
                recorded_at: Some(accepted.recorded_at),
                entry_id: target.besides(accepted),
                replayed: Some(accepted.replayed),
                ..Self::new(index, Status::Accepted, asked, target)
            },
            Outcome::Refused(refused) => Self {
                journal_position: refused.position,
                recorded_at: refused.recorded_at,
                replayed: Some(refused.replayed),
                code: Some(refused.refusal.code.as_str()),
                detail: Some(match refused.replayed {
                    true => repeated(&refused.refusal.detail, refused.recorded_at),
                    false => refused.refusal.detail.clone(),
                }),
                pointer: refused.refusal.pointer.clone(),
                ..Self::new(index, Status::Refused, asked, target)
            },
            Outcome::VersionMismatch { actual } => {
                Self { version: Some(*actual), ..Self::new(index, Status::VersionMismatch, asked, target) }
            }
            Outcome::NotApplied { because_of } => {
                Self { because_of: Some(*because_of), ..Self::new(index, Status::NotApplied, asked, target) }
            }
            Outcome::Failed { .. } => {
                Self { detail: Some(rule_failed().detail.clone()), ..Self::new(index, Status::Failed, asked, target) }
            }
        }
    }
}

/// `POST /v1/bulk`
pub(super) async fn submit(
    State(state): State<ApiState>,
    caller: Authorized<Write>,
    headers: CommandHeaders,
    request: Request,
) -> Result<Response, Problem> {
    answer(&state, &caller, &headers, request).await.map_err(|problem| headers.tell(problem))
}

async fn answer(state: &ApiState, caller: &Authorized<Write>, headers: &CommandHeaders, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    if headers.expected_version.is_some() {
        return Err(Problem::of(
            &kind::VALIDATION_FAILED,
            "If-Match is for one command; in a bulk request each item has its `expected_version`",
        ));
    }
    let asked_atomic = atomic_in(parts.uri.query())?;
    let media_type = require(&parts.headers, &["application/json", NDJSON])?;
    let body = whole(body, &parts.headers, state.limits.bulk_bytes, state.limits.time_out, account(state, &parts)).await?;
    let Arrived { bytes, memory } = body;
    let reader = Reader {
        scope: Scope::of(headers, caller, state.limits.keys_optional)?,
        headers: headers.clone(),
        most: state.limits.bulk_commands,
        ndjson: media_type == NDJSON,
    };
    // Memory and permit are held until the answer, because the commands take memory until then; and a request that is given
    // up while its body is read makes no room before the body is gone.
    let (read, _held) = if bytes.len() <= READ_IN_PLACE {
        (reader.read(&bytes, asked_atomic), None)
    } else {
        // Only now: a body that does not arrive must not keep others from being read.
        let permit = tokio::time::timeout(state.limits.time_out, state.bulk_permits.clone().acquire_owned()).await;
        let permit = permit.ok().and_then(Result::ok).ok_or_else(|| Problem::overloaded(std::time::Duration::from_secs(1)))?;
        let reading = tokio::task::spawn_blocking(move || (reader.read(&bytes, asked_atomic), Some((permit, memory))));
        reading.await.map_err(|error| Problem::internal(headers.request_id(), error))?
    };
    let Bulk { commands, atomic, place } = read?;
    crate::reach::within(state, caller, commands.iter().map(|envelope| &envelope.command)).await?;
    let asked_for: Vec<AskedFor> = commands.iter().map(AskedFor::by).collect();
    let mode = if atomic { Mode::Atomic } else { Mode::Each };
    let answer = submit_all(state, commands, mode).await?;
    Ok(respond(state, headers, atomic, &place, &asked_for, answer))
}

async fn submit_all(state: &ApiState, commands: Vec<CommandEnvelope<LedgerCommand>>, mode: Mode) -> Result<Answer<LedgerStream>, Problem> {
    let count = commands.len();
    let answer = crate::submit::submit(state, commands, mode).await?;
    if answer.outcomes.len() == count {
        Ok(answer)
    } else {
        Err(Problem::internal(None, "the engine gave another number of outcomes than commands"))
    }
}

/// What an answer needs of a command that was submitted.
struct AskedFor {
    target: Target,
    key: CommandId,
    expected_version: Option<StreamVersion>,
}

impl AskedFor {
    fn by(envelope: &CommandEnvelope<LedgerCommand>) -> Self {
        Self { target: Target::of(&envelope.command), key: envelope.key.id.clone(), expected_version: envelope.expected_version }
    }
}

/// The commands of a bulk request, and how their places are written as pointers.
struct Bulk {
    commands: Vec<CommandEnvelope<LedgerCommand>>,
    atomic: bool,
    place: Place,
}

/// Where the items of a request stand.
#[derive(Clone, Copy)]
enum Place {
    /// In an array, which is the whole body.
    Array,
    /// In the member `commands`.
    Commands,
    /// One a line. Pointers count as if the lines were an array.
    Lines,
}

impl Place {
    fn pointer(self, index: usize, inside: &str) -> String {
        match self {
            Place::Array | Place::Lines => format!("/{index}{inside}"),
            Place::Commands => format!("/commands/{index}{inside}"),
        }
    }
}

/// What reading a body needs to know of its request.
struct Reader {
    scope: Scope,
    headers: CommandHeaders,
    most: usize,
    ndjson: bool,
}

/// The body as an object.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BulkObject<'a> {
    #[serde(default)]
    atomic: Option<bool>,
    #[serde(borrow)]
    commands: Vec<&'a RawValue>,
}

impl Reader {
    fn read(&self, bytes: &Bytes, asked_atomic: Option<bool>) -> Result<Bulk, Problem> {
        let mistake = |problem: FieldProblem| Problem::validation(vec![problem]);
        let mut atomic = asked_atomic;
        let (place, items): (Place, Vec<(usize, &[u8])>) = if self.ndjson {
            let lines = bytes.split(|byte| *byte == b'\n').enumerate().map(|(number, line)| (number + 1, line.trim_ascii()));
            (Place::Lines, lines.filter(|(_, line)| !line.is_empty()).collect())
        } else if bytes.trim_ascii_start().first() == Some(&b'{') {
            let object: BulkObject<'_> = decode(bytes).map_err(mistake)?;
            if let (Some(asked), Some(said)) = (asked_atomic, object.atomic)
                && asked != said
            {
                let detail = format!("the address asks for atomic={asked}, the body for atomic={said}");
                return Err(mistake(FieldProblem::new("invalid_value", "/atomic", detail)));
            }
            atomic = asked_atomic.or(object.atomic);
            (Place::Commands, object.commands.into_iter().map(|item| item.get().as_bytes()).enumerate().collect())
        } else {
            (Place::Array, items_of_array(bytes).map_err(mistake)?.into_iter().enumerate().collect())
        };
        if items.len() > self.most {
            let detail = format!("a bulk request has at most {} commands, this one has {}; nothing was done", self.most, items.len());
            return Err(Problem::of(&kind::PAYLOAD_TOO_LARGE, detail));
        }
        if items.is_empty() {
            return Err(Problem::of(
                &kind::VALIDATION_FAILED,
                format!("a bulk request has 1 to {} commands, this one has none", self.most),
            ));
        }
        let mut commands = Vec::with_capacity(items.len());
        let mut mistakes = Vec::new();
        for (index, (number, item)) in items.iter().enumerate() {
            match BulkItem::parse(item).and_then(|item| self.envelope(index, item)) {
                Ok(envelope) => commands.push(envelope),
                Err(mut mistake) => {
                    if matches!(place, Place::Lines) {
                        mistake.detail = format!("line {number}: {}", mistake.detail);
                    }
                    mistake.pointer = place.pointer(index, &mistake.pointer);
                    mistakes.push(mistake);
                    if mistakes.len() == MOST_MISTAKES {
                        break;
                    }
                }
            }
        }
        if mistakes.is_empty() { Ok(Bulk { commands, atomic: atomic.unwrap_or(false), place }) } else { Err(Problem::validation(mistakes)) }
    }

    fn envelope(&self, index: usize, item: BulkItem) -> Result<CommandEnvelope<LedgerCommand>, FieldProblem> {
        let key = match (item.key, &self.headers.key) {
            (Some(key), _) => Some(key),
            (None, Some(key)) => Some(numbered(key, index)?),
            (None, None) => None,
        };
        let missing = |missing: MissingKey| FieldProblem::new(kind::IDEMPOTENCY_KEY_MISSING.code, "/idempotency_key", missing.to_string());
        let mut envelope = self.scope.command(&self.headers, item.asked, key).map_err(missing)?;
        envelope.expected_version = item.expected_version;
        Ok(envelope)
    }
}

/// The id of an item without a key of its own, from the key of its request.
fn numbered(key: &CommandId, index: usize) -> Result<CommandId, FieldProblem> {
    let mut id = String::with_capacity(key.as_str().len() + 5);
    id.push_str(key.as_str());
    // Writing to a string cannot fail.
    let _ = write!(id, "/{index}");
    id.parse().map_err(|_| {
        let detail = "the Idempotency-Key is too long to be followed by `/` and the item's index: 255 characters in all";
        FieldProblem::new("invalid_value", "/idempotency_key", detail)
    })
}

/// `atomic` in the query. Nothing else may stand there: a misspelt `atomic` must not be taken for its absence.
fn atomic_in(query: Option<&str>) -> Result<Option<bool>, Problem> {
    let mut atomic = None;
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let value = match pair.split_once('=') {
            Some(("atomic", "true")) => true,
            Some(("atomic", "false")) => false,
            _ => {
                let shown: String = pair.chars().take(80).collect();
                return Err(Problem::of(
                    &kind::VALIDATION_FAILED,
                    format!("`{shown}`: the query takes atomic=true or atomic=false, nothing else"),
                ));
            }
        };
        if atomic.replace(value).is_some() {
            return Err(Problem::of(&kind::VALIDATION_FAILED, "`atomic` stands twice in the query"));
        }
    }
    Ok(atomic)
}

fn respond(
    state: &ApiState,
    headers: &CommandHeaders,
    atomic: bool,
    place: &Place,
    asked_for: &[AskedFor],
    Answer { outcomes, head }: Answer<LedgerStream>,
) -> Response {
    let results: Vec<BulkResult> =
        asked_for.iter().zip(&outcomes).enumerate().map(|(index, (asked, outcome))| BulkResult::of(index, asked, outcome)).collect();
    let count = |status: Status| results.iter().filter(|result| result.status == status).count();
    // What only repeats earlier answers wrote nothing now, but its positions stand for them just as well.
    let last = results.iter().filter_map(|result| result.journal_position).max();
    let last = last.unwrap_or(head.position);
    let position = token(state, &head);
    let replayed = results.iter().filter(|result| result.replayed == Some(true)).count();
    let stopped_by =
        outcomes.into_iter().enumerate().find(|(_, outcome)| !matches!(outcome, Outcome::Accepted(_) | Outcome::NotApplied { .. }));
    let mut response = match stopped_by {
        Some((index, outcome)) if atomic => {
            not_applied(headers, place, index, outcome, asked_for[index].expected_version, &position, &results)
        }
        _ => {
            let answer = BulkAnswer {
                atomic,
                accepted: count(Status::Accepted),
                refused: count(Status::Refused),
                version_mismatches: count(Status::VersionMismatch),
                replayed,
                position: position.clone(),
                journal_position: last,
                results,
            };
            let mut map = HeaderMap::with_capacity(10);
            map.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            if replayed == answer.results.len() {
                map.insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
            }
            (map, json(&answer)).into_response()
        }
    };
    put(response.headers_mut(), CAURI_POSITION, &position);
    response
}

/// The problem of an atomic request of which nothing was applied.
#[derive(Serialize)]
struct NothingApplied<'a> {
    #[serde(flatten)]
    problem: &'a Problem,
    /// Which command stood in the way.
    index: usize,
    results: &'a [BulkResult],
}

fn not_applied(
    headers: &CommandHeaders,
    place: &Place,
    index: usize,
    outcome: Outcome<LedgerStream>,
    expected: Option<StreamVersion>,
    position: &str,
    results: &[BulkResult],
) -> Response {
    let mut problem = match outcome {
        Outcome::Refused(refused) => problem_of(refused, Some(position)),
        Outcome::VersionMismatch { actual } => mismatch(expected, actual),
        Outcome::Failed { .. } => rule_failed(),
        Outcome::Accepted(_) | Outcome::NotApplied { .. } => Problem::internal(headers.request_id(), "nothing stood in the way"),
    };
    problem.pointer = Some(place.pointer(index, problem.pointer.as_deref().unwrap_or_default()));
    problem.detail = format!("command {index}: {}; nothing was applied", problem.detail);
    let problem = headers.tell(problem);
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = json(&NothingApplied { problem: &problem, index, results });
    (status, [(CONTENT_TYPE, PROBLEM_JSON)], body).into_response()
}
