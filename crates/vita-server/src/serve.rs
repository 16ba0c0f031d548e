//! Listening: addresses, TLS, and an orderly end.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::serve::{Listener, ListenerExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig as TlsConfig};
use tokio_rustls::server::TlsStream;
use vita_base::Hint;

use crate::app::{App, router};
use crate::config::{ServerConfig, TlsFiles};

/// A client that does not finish its TLS greeting in this time is turned away.
const HANDSHAKE_SECONDS_MAX: u64 = 10;
/// Requests that are under way when the server stops get this long.
const END_SECONDS_MAX: u64 = 3;

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address that cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address and port.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A key or certificate that cannot be used.
    #[error("cannot use `{path}` for TLS: {reason}")]
    Tls {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl Hint for ServeError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Listen { source, address } if source.kind() == io::ErrorKind::AddrInUse => {
                format!("another program has port {}; stop it or choose one with --port", address.port())
            }
            Self::Listen { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "ports below 1024 need special rights; choose a larger one with --port".into()
            }
            Self::Listen { .. } => "give an address of this machine with --listen, such as 127.0.0.1 or 0.0.0.0".into(),
            Self::Tls { .. } => "give a PEM key with --tls-keyfile and its PEM certificate with --tls-certfile".into(),
        })
    }
}

/// A server that has its addresses but does not answer yet.
pub struct Server {
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
    tls: Option<TlsAcceptor>,
}

impl Server {
    /// Takes the addresses of a config and reads its certificate.
    ///
    /// # Errors
    /// If an address is taken or not ours, or the certificate cannot be used.
    pub async fn bind(config: &ServerConfig) -> Result<Self, ServeError> {
        let tls = config.tls.as_ref().map(acceptor).transpose()?;
        let mut listeners = Vec::new();
        let mut addresses = Vec::new();
        let mut port = config.port;
        for address in &config.listen {
            let address = SocketAddr::new(*address, port);
            let failed = |source| ServeError::Listen { address, source };
            let listener = TcpListener::bind(address).await.map_err(failed)?;
            let address = listener.local_addr().map_err(failed)?;
            // Where the port was free to choose, all addresses get the same.
            port = address.port();
            addresses.push(address);
            listeners.push(listener);
        }
        Ok(Self { listeners, addresses, tls })
    }

    /// Where it listens, with the ports that were chosen.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Whether it speaks HTTPS.
    pub fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    /// Answers until `stop` is done; then closes the WebSockets and lets requests end, for some seconds at most.
    /// The queue is the caller's to close.
    pub async fn run(self, app: Arc<App>, stop: impl Future<Output = ()> + Send) {
        let (stopping, stopped) = watch::channel(false);
        let router = router(app.clone());
        let mut tasks = tokio::task::JoinSet::new();
        for listener in self.listeners {
            let listener = listener.tap_io(|stream| {
                // Answers are small and written whole; waiting for more only delays them.
                let _ = stream.set_nodelay(true);
            });
            let make = router.clone().into_make_service_with_connect_info::<SocketAddr>();
            let mut stopped = stopped.clone();
            let until_stopped = async move {
                let _ = stopped.wait_for(|stopped| *stopped).await;
            };
            match &self.tls {
                None => tasks.spawn(async {
                    let _ = axum::serve(listener, make).with_graceful_shutdown(until_stopped).await;
                }),
                Some(acceptor) => {
                    let listener = TlsListener::new(listener, acceptor.clone()).tap_io(|_| {});
                    tasks.spawn(async {
                        let _ = axum::serve(listener, make).with_graceful_shutdown(until_stopped).await;
                    })
                }
            };
        }
        stop.await;
        app.hub.close();
        stopping.send_replace(true);
        let ended = async { while tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(Duration::from_secs(END_SECONDS_MAX), ended).await;
    }
}

/// Connections whose TLS greeting is done; slow ones hold up nobody else.
struct TlsListener {
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    address: io::Result<SocketAddr>,
    accepting: tokio::task::JoinHandle<()>,
}

impl TlsListener {
    fn new(mut listener: impl Listener<Io = TcpStream, Addr = SocketAddr>, acceptor: TlsAcceptor) -> Self {
        let (sender, ready) = mpsc::channel(16);
        let address = listener.local_addr();
        let accepting = tokio::spawn(async move {
            loop {
                let (stream, peer) = listener.accept().await;
                let (acceptor, sender) = (acceptor.clone(), sender.clone());
                tokio::spawn(async move {
                    let greeting = acceptor.accept(stream);
                    match tokio::time::timeout(Duration::from_secs(HANDSHAKE_SECONDS_MAX), greeting).await {
                        Ok(Ok(stream)) => drop(sender.send((stream, peer)).await),
                        Ok(Err(error)) => tracing::debug!("No TLS connection from {peer}: {error}"),
                        Err(_) => tracing::debug!("No TLS connection from {peer}: it took too long"),
                    }
                });
            }
        });
        Self { ready, address, accepting }
    }
}

impl Drop for TlsListener {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            // The task that accepts ends only with this listener.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.address.as_ref().copied().map_err(|error| io::Error::new(error.kind(), error.to_string()))
    }
}

fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, ServeError> {
    let refused = |path: &Path, reason: String| ServeError::Tls { path: path.to_owned(), reason };
    let certificates = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| refused(&files.certificate, error.to_string()))?;
    if certificates.is_empty() {
        return Err(refused(&files.certificate, "it holds no certificate".into()));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| refused(&files.key, error.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = TlsConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(certificates, key))
        .map_err(|error| refused(&files.certificate, error.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
