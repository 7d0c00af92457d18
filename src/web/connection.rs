//! A connection that does not wait for ever: a client that reads nothing, or next to nothing, of its answer is given up.

use super::Options;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

/// The time of waiting over which the rate of reading is judged.
const WINDOW: Duration = Duration::from_secs(60);

/// A stream whose writes fail when the reader is too slow. Only time spent waiting for the reader counts.
pub struct Patient {
    stream: TcpStream,
    stall: Duration,
    slowest: u64,
    /// The wait under way: when it began, and its end.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
    waited: Duration,
    sent: u64,
}

impl Patient {
    pub fn new(stream: TcpStream, options: &Options) -> Patient {
        let stall = Duration::from_secs(options.stall_timeout_s);
        Patient { stream, stall, slowest: options.slowest_read, waiting: None, waited: Duration::ZERO, sent: 0 }
    }

    /// Judges what a write came to.
    fn judge(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let Poll::Ready(result) = written else {
            let stall = self.stall;
            let (_, sleep) = self.waiting.get_or_insert_with(|| (Instant::now(), Box::pin(tokio::time::sleep(stall))));
            ready!(sleep.as_mut().poll(cx));
            return Poll::Ready(Err(too_slow()));
        };
        if let Some((since, _)) = self.waiting.take() {
            self.waited += since.elapsed();
        }
        self.sent += result.as_ref().map_or(0, |n| *n as u64);
        if self.waited >= WINDOW {
            let wanted = self.waited.as_secs() * self.slowest;
            let sent = std::mem::take(&mut self.sent);
            self.waited = Duration::ZERO;
            if sent < wanted {
                return Poll::Ready(Err(too_slow()));
            }
        }
        Poll::Ready(result)
    }
}

fn too_slow() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the client reads too slowly")
}

impl AsyncRead for Patient {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.judge(cx, written)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.judge(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
