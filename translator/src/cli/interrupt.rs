//! Ctrl-C and its like while compilers run: they are stopped, what was begun is removed, and only then the signal does
//! to this process what it always does.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use crate::build::Cancellation;

/// The user ended the command with a signal.
#[derive(Debug, thiserror::Error)]
#[error("cancelled; what was compiled until now is in the cache")]
pub(super) struct Cancelled {
    signal: i32,
}

impl Cancelled {
    /// Ends this process as the signal would have, so that a shell or make sees it.
    pub fn end(&self) -> ExitCode {
        #[cfg(unix)]
        let _ = signal_hook::low_level::emulate_default_handler(self.signal);
        // As shells report it.
        ExitCode::from(u8::try_from(128 + self.signal).unwrap_or(2))
    }
}

/// Signals are caught as long as this lives.
#[derive(Debug)]
pub(super) struct Interrupt {
    cancellation: Arc<Cancellation>,
    #[cfg(unix)]
    signal: Arc<std::sync::atomic::AtomicI32>,
    #[cfg(unix)]
    handle: signal_hook::iterator::Handle,
}

#[cfg(unix)]
impl Interrupt {
    /// Starts to catch signals.
    pub fn catch() -> io::Result<Self> {
        use std::sync::atomic::{AtomicI32, Ordering};

        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

        let cancellation = Arc::new(Cancellation::default());
        let signal = Arc::new(AtomicI32::new(0));
        let mut signals = signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGTERM])?;
        let handle = signals.handle();
        let (cancel, caught) = (Arc::clone(&cancellation), Arc::clone(&signal));
        std::thread::spawn(move || {
            for signal in &mut signals {
                if caught.swap(signal, Ordering::SeqCst) != 0 {
                    // Asked twice: whatever is still being cleaned up, end now.
                    let _ = signal_hook::low_level::emulate_default_handler(signal);
                }
                cancel.cancel();
            }
        });
        Ok(Interrupt {
            cancellation,
            signal,
            handle,
        })
    }

    /// The error to end with, if a signal came.
    pub fn caught(&self) -> Option<Cancelled> {
        match self.signal.load(std::sync::atomic::Ordering::SeqCst) {
            0 => None,
            signal => Some(Cancelled { signal }),
        }
    }
}

#[cfg(unix)]
impl Drop for Interrupt {
    fn drop(&mut self) {
        self.handle.close();
    }
}

#[cfg(not(unix))]
impl Interrupt {
    /// Nothing is caught on this system.
    pub fn catch() -> io::Result<Self> {
        let cancellation = Arc::default();
        Ok(Interrupt { cancellation })
    }

    /// Nothing was caught.
    pub fn caught(&self) -> Option<Cancelled> {
        None
    }
}

impl Interrupt {
    /// What a signal cancels.
    pub fn cancellation(&self) -> &Cancellation {
        &self.cancellation
    }
}
