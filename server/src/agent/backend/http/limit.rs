//! Bounds on what a provider may send: time between pieces, bytes in all, bytes of one line.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};

use super::ByteStream;
use crate::agent::backend::BackendError;

/// Most bytes of one streamed answer. A reply of the size that runs accept, sent in pieces of a few letters, each in
/// some 400 bytes of JSON, stays below.
const MAX_STREAM: usize = 32 * 1024 * 1024;
/// Most bytes without a line break: what the event decoder keeps in memory at once. No event is near it.
const MAX_LINE: usize = 1024 * 1024;

/// Passes pieces on until one is late, the connection breaks or a bound is crossed.
pub(super) fn guard<E: Send + 'static>(
    pieces: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
    between: Duration,
) -> ByteStream {
    let state = State {
        pieces: pieces.boxed(),
        total: 0,
        line: 0,
    };
    stream::try_unfold(state, move |mut state| async move {
        let next = tokio::time::timeout(between, state.pieces.next()).await;
        match next.map_err(|_| BackendError::Stalled {
            seconds: between.as_secs(),
        })? {
            None => Ok(None),
            // Broken off in the middle; why is of no use to anybody.
            Some(Err(_)) => Err(BackendError::CutOff),
            Some(Ok(piece)) => {
                state.count(&piece)?;
                Ok(Some((piece, state)))
            }
        }
    })
    .boxed()
}

struct State<S> {
    pieces: S,
    total: usize,
    line: usize,
}

impl<S> State<S> {
    fn count(&mut self, piece: &[u8]) -> Result<(), BackendError> {
        self.total += piece.len();
        if self.total > MAX_STREAM {
            return Err(BackendError::TooLarge { limit: MAX_STREAM });
        }
        self.line = match piece.iter().rposition(|byte| matches!(byte, b'\n' | b'\r')) {
            Some(end) => piece.len() - end - 1,
            None => self.line + piece.len(),
        };
        if self.line > MAX_LINE {
            return Err(BackendError::TooLarge { limit: MAX_LINE });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::TryStreamExt;
    use std::convert::Infallible;

    async fn pass(pieces: Vec<Vec<u8>>) -> Result<usize, BackendError> {
        let pieces = stream::iter(pieces).map(|piece| Ok::<_, Infallible>(Bytes::from(piece)));
        guard(pieces, Duration::from_secs(1))
            .try_fold(0, |sum, piece| async move { Ok(sum + piece.len()) })
            .await
    }

    #[tokio::test(start_paused = true)]
    async fn bounds_at_n_and_one_more() {
        let too_large = |limit| Err(BackendError::TooLarge { limit });
        assert_eq!(pass(vec![vec![b'x'; MAX_LINE]]).await, Ok(MAX_LINE));
        assert_eq!(
            pass(vec![vec![b'x'; MAX_LINE], vec![b'x']]).await,
            too_large(MAX_LINE)
        );
        assert_eq!(
            pass(vec![
                vec![b'x'; MAX_LINE],
                b"\nx".to_vec(),
                vec![b'x'; MAX_LINE - 1]
            ])
            .await,
            Ok(2 * MAX_LINE + 1)
        );
        let lines = vec![vec![b'\n'; MAX_STREAM / 4]; 4];
        assert_eq!(pass(lines.clone()).await, Ok(MAX_STREAM));
        assert_eq!(
            pass([lines, vec![b"\n".to_vec()]].concat()).await,
            too_large(MAX_STREAM)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_piece_is_a_stall() {
        let slow = |ms| {
            let pieces = stream::iter([1, 2]).then(move |_| async move {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                Ok::<_, Infallible>(Bytes::from_static(b"x"))
            });
            guard(pieces, Duration::from_secs(1)).try_collect::<Vec<_>>()
        };
        assert_eq!(slow(999).await.map(|pieces| pieces.len()), Ok(2));
        assert_eq!(slow(1001).await, Err(BackendError::Stalled { seconds: 1 }));
    }
}
