//! `cauri serve`: a data directory on a port until it is told to stop.

use std::error::Error;
use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cauri_http::telemetry;
use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

use crate::config::{HttpArgs, LogArgs, LogFormat, ServeArgs};
use crate::listener::{self, Traffic};
use crate::memory::{self, Activity, Idleness};
use crate::node::Node;

/// How often keys that the issuer withdrew are noticed.
const KEYS_EVERY: Duration = Duration::from_secs(300);
/// How often recorded durations are put into their buckets; between two scrapes they would pile up.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Connections that may wait to be accepted, as far as the system lets them (`net.core.somaxconn`).
const BACKLOG: i32 = 4_096;

/// Files that journal, index and read models may have open, with room for what opens and closes.
const FILES_OF_THE_STORE: u64 = 256;

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody else does.
    #[error("{address} is in use by another process: stop it, or choose another address with --listen")]
    InUse {
        /// The address.
        address: SocketAddr,
    },
    /// Payments without a key are for trials, and others could send them here.
    #[error("--allow-missing-keys is for trials on a loopback address such as 127.0.0.1, not for {address}: leave one of the two out")]
    NotLoopback {
        /// The address.
        address: SocketAddr,
    },
    /// The system does not let us.
    #[error("cannot listen on {address}")]
    Refused {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// Serves a data directory until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot be opened, or the address cannot be listened on.
pub fn run(args: &ServeArgs) -> Result<(), Box<dyn Error>> {
    log_to_stderr(&args.log)?;
    // The address first: a journal that took a minute to recover would have been recovered for nothing.
    let listener = listen(&args.http)?;
    let node = Node::open(args, None)?;
    if node.develops {
        tracing::warn!(
            data = %node.data.path().display(),
            "tokens are those of the development issuer in the data directory; give --jwks of an identity provider where money is real"
        );
    }
    serve(node, listener, args)
}

/// A listener that others cannot have.
///
/// # Errors
/// When somebody else has it, or the system does not give it, or what is asked must not be offered there.
pub fn listen(http: &HttpArgs) -> Result<std::net::TcpListener, ListenError> {
    let address = http.listen;
    if http.allow_missing_keys && !address.ip().is_loopback() {
        return Err(ListenError::NotLoopback { address });
    }
    bound(address).map_err(|source| match source.kind() {
        std::io::ErrorKind::AddrInUse => ListenError::InUse { address },
        _ => ListenError::Refused { address, source },
    })
}

/// As the standard library binds, with a longer queue of those who wait to be accepted: a newcomer who finds it full tries
/// again after a second.
fn bound(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Serves an open node until SIGTERM or SIGINT, then stops it.
///
/// # Errors
/// When the runtime cannot be made; the node is stopped all the same.
pub fn serve(node: Node, listener: std::net::TcpListener, args: &ServeArgs) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("cauri-http").build()?;
    let served = runtime.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        tracing::info!(address = %listener.local_addr()?, data = %node.data.path().display(), head = %node.engine.store().follow().head(), "serving");
        let routes = node.routes(args);
        keep(&node, routes.traffic());
        let connections = connections_within(open_files(), args.http.max_connections);
        listener::serve(listener, routes, args.http.bounds(connections), told_to_stop()).await;
        Ok::<(), std::io::Error>(())
    });
    let store = Arc::clone(node.engine.store());
    node.stop();
    tracing::info!(head = %store.follow().head(), "stopped");
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(served?)
}

/// As many files as the system lets this process open, raised as far as it lets us. Where it says nothing, as if without end.
fn open_files() -> u64 {
    let raised = rlimit::increase_nofile_limit(u64::MAX);
    let allowed = raised.or_else(|_| rlimit::getrlimit(rlimit::Resource::NOFILE).map(|(soft, _)| soft));
    allowed.unwrap_or_else(|error| {
        tracing::warn!(%error, "the system does not say how many files may be open");
        u64::MAX
    })
}

/// As many connections as are wanted and leave files for the store: it must never be the one that finds none left.
fn connections_within(open_files: u64, wanted: usize) -> usize {
    let most = open_files.saturating_sub(FILES_OF_THE_STORE + listener::RESERVE as u64);
    let most = usize::try_from(most).unwrap_or(usize::MAX).max(1);
    if most < wanted {
        tracing::warn!(
            open_files,
            connections = most,
            "the system allows fewer open files than --max-connections needs; ulimit -n raises it"
        );
    }
    wanted.min(most)
}

/// What has to be done every now and then.
fn keep(node: &Node, traffic: Arc<Traffic>) {
    let verifier = Arc::clone(&node.verifier);
    tokio::spawn(async move {
        let mut every = tokio::time::interval(KEYS_EVERY);
        every.tick().await;
        loop {
            every.tick().await;
            let verifier = Arc::clone(&verifier);
            let read = tokio::task::spawn_blocking(move || verifier.keys().refresh()).await;
            if let Ok(Err(error)) = read {
                tracing::warn!(%error, "the key set could not be read again; the keys read before stay in force");
            }
        }
    });
    let (store, runner) = (Arc::clone(node.engine.store()), Arc::clone(&node.runner));
    tokio::spawn(async move {
        let mut every = tokio::time::interval(UPKEEP_EVERY);
        let mut idleness = Idleness::default();
        loop {
            every.tick().await;
            if let Some(recorder) = telemetry::recorder() {
                recorder.run_upkeep();
            }
            let shown = runner.status().read_models().map(|model| model.position.get()).fold(0, u64::wrapping_add);
            let activity = Activity { head: store.follow().head().position, shown, begun: traffic.begun() };
            if idleness.begins(activity, traffic.under_way()) {
                // A panic of it was reported when it happened.
                let _ = tokio::task::spawn_blocking(memory::return_free).await;
            }
        }
    });
}

/// Completes at the first SIGTERM or SIGINT. A second one ends the process at once.
async fn told_to_stop() {
    wait_for_signal().await;
    tracing::info!("told to stop; a second signal ends at once and loses nothing that was acknowledged");
    tokio::spawn(async {
        wait_for_signal().await;
        std::process::exit(130);
    });
}

#[cfg(unix)]
pub(crate) async fn wait_for_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        (Err(error), _) | (_, Err(error)) => {
            tracing::error!(%error, "signals cannot be received: only a kill ends this process, which loses nothing that was acknowledged");
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(not(unix))]
pub(crate) async fn wait_for_signal() {
    if let Err(error) = tokio::signal::ctrl_c().await {
        tracing::error!(%error, "signals cannot be received: only a kill ends this process, which loses nothing that was acknowledged");
        std::future::pending::<()>().await;
    }
}

/// Logs to standard error from here on.
///
/// # Errors
/// When the filter cannot be understood. A subscriber that is there already stays.
pub fn log_to_stderr(args: &LogArgs) -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::try_new(&args.log).map_err(|error| format!("--log {:?} is no level and no filter: {error}", args.log))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr);
    let set = match args.log_format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    // A test in the same process may have set one.
    drop(set);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newcomers_find_room_while_nobody_is_accepted() {
        let listener = bound(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port");
        let address = listener.local_addr().expect("an address");
        let connect = |_| std::net::TcpStream::connect_timeout(&address, Duration::from_millis(500)).expect("room in the queue");
        let waiting: Vec<_> = (0..400).map(connect).collect();
        assert_eq!(waiting.len(), 400);
    }
}
