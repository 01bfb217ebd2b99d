//! The end of a connection: what is queued goes out, the close frame last, and the peer gets a moment to read it.
//!
//! Closing a socket that still has unread bytes resets it, and a reset makes the peer lose what it had not read yet,
//! the close frame included. So what the peer still sends is read and thrown away until it closes. A peer that sent
//! its own close frame sends nothing after it (RFC 6455, 5.5.1), so there the answer is the end.

use std::future::poll_fn;
use std::task::Poll;

use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use super::ending::Ending;
use crate::limits::CLOSE_TIMEOUT;
use crate::net::ReadSide;
use crate::ws::{Flush, Outbox};

/// Bytes thrown away at a time.
const SCRAP: usize = 4 * 1024;

/// Is there nothing left to say? Writes what is queued if the peer closed, to leave with the end of the socket.
pub(super) fn is_said(ending: Ending, outbox: &Outbox) -> bool {
    match ending {
        Ending::Lost => true,
        Ending::ClosedByPeer => outbox.flush_last() == Flush::Done,
        _ => false,
    }
}

/// Writes what is queued and waits for the peer to close, [`CLOSE_TIMEOUT`] at most.
pub(super) async fn say(mut read: ReadSide, outbox: &Outbox) {
    let goodbye = async {
        let flushed = poll_fn(|cx| {
            outbox.register(cx.waker());
            loop {
                match outbox.flush_last() {
                    Flush::Done => return Poll::Ready(true),
                    Flush::Failed(_) => return Poll::Ready(false),
                    Flush::Blocked => std::task::ready!(outbox.poll_writable(cx)),
                }
            }
        });
        if !flushed.await {
            return;
        }
        outbox.end();
        let mut scrap = [0; SCRAP];
        while read.read(&mut scrap).await.is_ok_and(|n| n > 0) {}
    };
    // A peer that does not close is left to itself.
    let _ = timeout(CLOSE_TIMEOUT, goodbye).await;
}
