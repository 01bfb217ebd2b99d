//! The thread that runs of agents live on. Made and stopped by `run`; everything that spawns there has its handle.
//!
//! One thread with a scheduler of its own: runs wait for models most of the time, and what computes or reads the disk is
//! spawned blocking. A scheduler that moves tasks between threads would cost memory and wake-ups for nothing.

use std::io;
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// A runtime driven by a thread of its own.
pub(super) struct Work {
    handle: Handle,
    stop: oneshot::Sender<()>,
}

impl Work {
    /// Starts the thread.
    ///
    /// # Errors
    /// What the system says when there is no thread or no event queue to be had.
    pub(super) fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .thread_name("work")
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        thread::Builder::new()
            .name("work".to_owned())
            .spawn(move || {
                // An error says that the sender is gone, which also means stop.
                let _ = runtime.block_on(stopped);
                runtime.shutdown_background();
            })?;
        Ok(Self { handle, stop })
    }

    /// For spawning on it.
    pub(super) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Lets go of everything that still runs, at its next await. Waits for nothing: the process ends soon.
    pub(super) fn stop(self) {
        drop(self.stop);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spawned_runs_and_is_let_go_at_the_stop() {
        struct Gone(Option<std::sync::mpsc::Sender<&'static str>>);
        impl Drop for Gone {
            fn drop(&mut self) {
                if let Some(tell) = self.0.take() {
                    let _ = tell.send("let go");
                }
            }
        }
        let work = Work::start().unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        let gone = Gone(Some(tell.clone()));
        work.handle().spawn(async move {
            let _gone = gone;
            let _ = tell.send("ran");
            std::future::pending::<()>().await;
        });
        assert_eq!(told.recv().unwrap(), "ran");
        work.stop();
        assert_eq!(told.recv().unwrap(), "let go");
    }
}
