//! Servers that do nothing but echo, to compare the gateway with. Each is a process of its own: this binary, started
//! with `serve`.
//!
//! `echo` is what the WebSocket library's own example does: hyper for the upgrade, one task for each connection,
//! every message read and written back one by one. `echo-gathered` keeps what it writes until it has to read again.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use anyhow::Result;
use bytes::{Buf as _, Bytes, BytesMut};
use clap::ValueEnum;
use fastwebsockets::upgrade::{self, UpgradeFut};
use fastwebsockets::{FragmentCollector, OpCode, Role, WebSocket, WebSocketError};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Floor {
    /// Reads a message, writes it back.
    Echo,
    /// The same; replies leave together before the next read.
    EchoGathered,
}

impl Floor {
    /// The name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::EchoGathered => "echo-gathered",
        }
    }
}

/// Serves until the process is ended.
pub(crate) async fn serve(floor: Floor, port: u16) -> Result<()> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(connection(floor, stream));
    }
}

async fn connection(floor: Floor, stream: TcpStream) {
    let service = service_fn(move |request| std::future::ready(respond(floor, request)));
    // A connection that fails is the generator's to report.
    let _ = stream.set_nodelay(true);
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
}

fn respond(
    floor: Floor,
    mut request: Request<Incoming>,
) -> Result<Response<Empty<Bytes>>, WebSocketError> {
    let (response, upgraded) = upgrade::upgrade(&mut request)?;
    tokio::spawn(tokio::task::unconstrained(async move {
        let _ = match floor {
            Floor::Echo => echo(upgraded).await,
            Floor::EchoGathered => echo_gathered(upgraded).await,
        };
    }));
    Ok(response)
}

async fn echo(upgraded: UpgradeFut) -> Result<(), WebSocketError> {
    echo_on(FragmentCollector::new(upgraded.await?)).await
}

async fn echo_gathered(upgraded: UpgradeFut) -> Result<(), WebSocketError> {
    let stream = Gathered {
        stream: upgraded.await?.into_inner(),
        unwritten: BytesMut::new(),
    };
    echo_on(FragmentCollector::new(WebSocket::after_handshake(
        stream,
        Role::Server,
    )))
    .await
}

async fn echo_on<S>(mut socket: FragmentCollector<S>) -> Result<(), WebSocketError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let frame = socket.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => socket.write_frame(frame).await?,
            _ => {}
        }
    }
}

/// Keeps what is written until something is read.
struct Gathered<S> {
    stream: S,
    unwritten: BytesMut,
}

impl<S: AsyncWrite + Unpin> Gathered<S> {
    fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unwritten.is_empty() {
            let n = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.unwritten))?;
            self.unwritten.advance(n);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Gathered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_write_out(cx))?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.unwritten.extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let before = self.unwritten.len();
        for slice in slices {
            self.unwritten.extend_from_slice(slice);
        }
        Poll::Ready(Ok(self.unwritten.len() - before))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Only a read writes out.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_write_out(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
