//! A node on a port of its own, in this process.

use std::net::SocketAddr;
use std::path::Path;
use std::thread::JoinHandle;

use cauri_node::config::{Cli, Command, ServeArgs};
use cauri_node::listener;
use cauri_node::node::Node;
use clap::Parser as _;
use serde_json::Value;
use tokio::sync::oneshot;

/// The options of `serve` as the command line gives them.
pub fn serve_args(data: &Path, more: &[&str]) -> ServeArgs {
    let data = data.to_str().expect("a path in UTF-8");
    let line = ["cauri", "serve", "--data", data, "--listen", "127.0.0.1:0"].into_iter().chain(more.iter().copied());
    match Cli::parse_from(line).command {
        Command::Serve(args) => args,
        other => panic!("{other:?}"),
    }
}

/// A node that answers until it is dropped.
pub struct Served {
    pub address: SocketAddr,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    pub fn at(data: &Path, more: &[&str]) -> Self {
        let args = serve_args(data, more);
        let node = Node::open(&args, None).expect("a node");
        let listener = cauri_node::serve::listen(&args.http).expect("a port");
        let address = listener.local_addr().expect("an address");
        let (end, ended) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                let bounds = args.http.bounds(args.http.max_connections);
                let routes = node.routes(&args);
                listener::serve(listener, routes, bounds, async move { drop(ended.await) }).await;
            });
            node.stop();
        });
        Self { address, end: Some(end), thread: Some(thread) }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Asks it to end and waits until it has.
    pub fn stop(mut self) {
        self.end_it();
    }

    fn end_it(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("it ended well");
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.end_it();
    }
}

/// What `/readyz` found in a check: the reason, if there is one, and the detail.
pub fn finding(body: &Value, check: &str) -> String {
    let check = &body["checks"][check];
    let detail = check["detail"].as_str().unwrap_or_default();
    check["reason"].as_str().map_or_else(|| detail.to_owned(), |reason| format!("{reason}: {detail}"))
}
