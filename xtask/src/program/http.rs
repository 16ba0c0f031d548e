//! As much of an HTTP client as the chores need: one connection, one request after the other.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value as Json;

/// Longer than any answer takes, so that a server that hangs is noticed.
const PATIENCE: Duration = Duration::from_secs(30);

/// An open connection.
pub struct Connection {
    stream: BufReader<TcpStream>,
}

/// What came back.
pub struct Answer {
    /// As in the first line.
    pub status: u16,
    /// Without the header.
    pub body: Vec<u8>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// If nobody listens.
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Asks for a path.
    ///
    /// # Errors
    /// If the connection ends before the answer does.
    pub fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    }

    /// Sends JSON to a path.
    ///
    /// # Errors
    /// If the connection ends before the answer does.
    pub fn post(&mut self, path: &str, body: &str) -> io::Result<Answer> {
        self.send(&format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    }

    fn send(&mut self, request: &str) -> io::Result<Answer> {
        self.stream.get_mut().write_all(request.as_bytes())?;
        let first = self.line()?;
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| broken(format!("an answer begins with {first:?}")))?;
        let (mut length, mut is_chunked) = (0, false);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().map_err(|_| broken(format!("a header says {line:?}")))?;
            }
            is_chunked |= line.starts_with("transfer-encoding:") && line.ends_with("chunked");
        }
        let mut body = Vec::new();
        if is_chunked {
            while let Some(size) = self.chunk_bytes()? {
                self.read(size, &mut body)?;
                self.line()?;
            }
            self.line()?;
        } else {
            self.read(length, &mut body)?;
        }
        Ok(Answer { status, body })
    }

    /// The size of the next chunk; `None` after the last.
    fn chunk_bytes(&mut self) -> io::Result<Option<usize>> {
        let line = self.line()?;
        let size = usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16);
        size.map(|size| (size > 0).then_some(size)).map_err(|_| broken(format!("a chunk begins with {line:?}")))
    }

    fn read(&mut self, bytes: usize, body: &mut Vec<u8>) -> io::Result<()> {
        let read = (&mut self.stream).take(bytes as u64).read_to_end(body)?;
        if read == bytes { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        line.truncate(line.trim_end_matches(['\r', '\n']).len());
        Ok(line)
    }
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Errors
    /// If it is none.
    pub fn json(&self) -> io::Result<Json> {
        serde_json::from_slice(&self.body).map_err(|error| broken(format!("an answer is no JSON: {error}")))
    }
}

fn broken(problem: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}
