//! An HTTP/1.1 client that costs next to nothing, so that what is measured is the server: one blocking connection, answers read and
//! thrown away (or kept when they are small).

use super::Error;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// No answer of a bench takes longer.
const PATIENCE: Duration = Duration::from_secs(600);
/// Bytes read at once; the server's chunks are smaller.
const PIECE: usize = 1 << 20;

/// One connection that is used again.
pub struct Client {
    stream: BufReader<TcpStream>,
    address: SocketAddr,
}

/// What came back.
#[derive(Debug, Default, Clone)]
pub struct Answer {
    pub status: u16,
    /// `Location`, empty if there was none.
    pub location: String,
    /// The body, if it was to be kept.
    pub body: Vec<u8>,
    pub bytes: u64,
    /// From sending the request to the first byte of the body, and to its last.
    pub first_s: f64,
    pub total_s: f64,
}

/// A request: `content_type` and body for a POST, neither for a GET.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    pub path: &'a str,
    pub post: Option<(&'a str, &'a [u8])>,
    /// Keep the body?
    pub keep: bool,
}

impl<'a> Request<'a> {
    pub fn get(path: &'a str) -> Request<'a> {
        Request { path, post: None, keep: false }
    }

    pub fn form(path: &'a str, body: &'a str) -> Request<'a> {
        Request { path, post: Some(("application/x-www-form-urlencoded", body.as_bytes())), keep: false }
    }

    pub fn kept(self) -> Request<'a> {
        Request { keep: true, ..self }
    }
}

impl Client {
    pub fn new(address: SocketAddr) -> Result<Client, Error> {
        let stream = TcpStream::connect(address).map_err(io("connecting to the service"))?;
        stream.set_nodelay(true).and_then(|()| stream.set_read_timeout(Some(PATIENCE))).map_err(io("setting up a connection"))?;
        Ok(Client { stream: BufReader::with_capacity(PIECE, stream), address })
    }

    /// Sends and reads to the end of the answer. An answer that is no success is an error with its text.
    pub fn ask(&mut self, request: Request<'_>) -> Result<Answer, Error> {
        let answer = self.exchange(request).map_err(io("talking with the service"))?;
        if answer.status >= 400 {
            let text = String::from_utf8_lossy(&answer.body).chars().take(600).collect::<String>();
            return Err(Error::Setup(format!("{} answered {}: {text}", request.path, answer.status)));
        }
        Ok(answer)
    }

    fn exchange(&mut self, request: Request<'_>) -> std::io::Result<Answer> {
        let started = Instant::now();
        let (method, (kind, body)) = match request.post {
            Some(post) => ("POST", post),
            None => ("GET", ("", &b""[..])),
        };
        let mut head = format!("{method} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: brickyard-bench\r\n", request.path, self.address);
        if request.post.is_some() {
            head += &format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len());
        }
        head += "\r\n";
        let mut message = head.into_bytes();
        message.extend_from_slice(body);
        self.stream.get_mut().write_all(&message)?;
        let mut answer = Answer::default();
        let length = self.head(&mut answer)?;
        let keep = request.keep || answer.status >= 400;
        match length {
            Length::Known(0) => answer.first_s = started.elapsed().as_secs_f64(),
            Length::Known(bytes) => self.take(bytes, keep, started, &mut answer)?,
            Length::Chunked => {
                while let bytes @ 1.. = self.chunk_size()? {
                    self.take(bytes, keep, started, &mut answer)?;
                    self.line()?;
                }
                self.line()?;
            }
        }
        answer.total_s = started.elapsed().as_secs_f64();
        Ok(answer)
    }

    fn line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "the service closed the connection"));
        }
        Ok(line.trim_end().to_owned())
    }

    fn head(&mut self, answer: &mut Answer) -> std::io::Result<Length> {
        let status = self.line()?;
        answer.status = status.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        let mut length = Length::Known(0);
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else { return Ok(length) };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = Length::Known(value.trim().parse().unwrap_or(0)),
                "transfer-encoding" => length = Length::Chunked,
                "location" => value.trim().clone_into(&mut answer.location),
                _ => {}
            }
        }
    }

    fn chunk_size(&mut self) -> std::io::Result<u64> {
        let line = self.line()?;
        u64::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16)
            .map_err(|_| std::io::Error::new(std::io::ErrorKind::InvalidData, format!("{line:?} is no chunk size")))
    }

    fn take(&mut self, mut bytes: u64, keep: bool, started: Instant, answer: &mut Answer) -> std::io::Result<()> {
        while bytes > 0 {
            let here = self.stream.fill_buf()?;
            if here.is_empty() {
                return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "the answer ends too early"));
            }
            if answer.bytes == 0 {
                answer.first_s = started.elapsed().as_secs_f64();
            }
            let n = here.len().min(usize::try_from(bytes).unwrap_or(usize::MAX));
            if keep {
                answer.body.extend_from_slice(&here[..n]);
            }
            self.stream.consume(n);
            answer.bytes += n as u64;
            bytes -= n as u64;
        }
        Ok(())
    }
}

enum Length {
    Known(u64),
    Chunked,
}

fn io(doing: &'static str) -> impl Fn(std::io::Error) -> Error {
    move |source| Error::Io { doing: doing.into(), source }
}
