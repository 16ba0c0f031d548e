//! HTTPS. `data/tls_*.pem` were made for this test by
//! `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500 -subj "/CN=vitascope test"
//! -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE`.

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};
use vita_base::Hint;
use vita_server::TlsFiles;

use common::Server;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn connector() -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(data("tls_certificate.pem")).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

#[tokio::test]
async fn requests_are_answered_over_tls_while_a_silent_client_waits() {
    let files = TlsFiles { key: data("tls_key.pem"), certificate: data("tls_certificate.pem") };
    let server = Server::with(|config| config.tls = Some(files));
    let listening = vita_server::Server::bind(&server.app.config).await.unwrap();
    assert!(listening.is_encrypted());
    let address = listening.addresses()[0];
    tokio::spawn(listening.run(server.app.clone(), std::future::pending()));

    let _silent = TcpStream::connect(address).await.unwrap();
    let talk = async {
        let stream = TcpStream::connect(address).await.unwrap();
        let mut stream = connector().connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
        stream.write_all(b"GET /queue HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = tokio::time::timeout(Duration::from_secs(5), talk).await.expect("the silent client held it up");
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.ends_with(r#"{"queue_running":[],"queue_pending":[]}"#), "{answer}");
}

#[tokio::test]
async fn files_that_are_no_key_or_certificate_are_named() {
    let (key, certificate) = (data("tls_key.pem"), data("tls_certificate.pem"));
    let (none, other) = (data("none.pem"), data("bad_prompts.json"));
    for (key, certificate, named) in [
        (&none, &certificate, "none.pem"),
        (&key, &none, "none.pem"),
        (&other, &certificate, "bad_prompts.json"),
        (&key, &other, "bad_prompts.json"),
        (&key, &key, "tls_key.pem"),
    ] {
        let mut config = common::config();
        config.tls = Some(TlsFiles { key: key.clone(), certificate: certificate.clone() });
        let error = vita_server::Server::bind(&config).await.err().expect("it is refused");
        assert!(error.to_string().contains(named), "{error}");
        assert!(error.hint().unwrap().contains("--tls-keyfile"), "{error}");
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = common::config();
    config.port = taken.local_addr().unwrap().port();
    let error = vita_server::Server::bind(&config).await.err().expect("it is refused");
    assert_eq!(error.to_string(), format!("cannot listen on 127.0.0.1:{}", config.port));
    assert!(error.hint().unwrap().contains("--port"));
}
