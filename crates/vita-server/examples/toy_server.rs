//! A server of toy nodes, to measure the server alone:
//! `cargo run --release -p vita-server --example toy_server 8199`, then `wrk -t1 -c8 http://127.0.0.1:8199/queue`.

#[path = "../tests/common/mod.rs"]
mod common;

#[tokio::main(worker_threads = 2)]
async fn main() {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(8199);
    let server = common::Server::with(|config| config.port = port);
    let runner = common::Graphs(vita_graph::Executor::new(server.app.registry.clone(), server.app.host.clone()));
    let worker = server.app.queue.spawn_worker(Box::new(runner)).expect("a thread for the worker");
    let listening = vita_server::Server::bind(&server.app.config).await.expect("a free port");
    println!("http://{}", listening.addresses()[0]);
    let stop = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    listening.run(server.app.clone(), stop).await;
    server.app.queue.close();
    worker.join();
}
