//! Ends a build before it is done: its compilers are told to stop, and whatever they had begun goes away.
//!
//! Knows processes. When a build is cancelled, and what is said then, is the caller's to decide.

use std::io;
use std::process::Output;
use std::sync::{Mutex, MutexGuard, PoisonError};

use duct::Expression;

/// Shared by those who run a build and those who may cancel it.
#[derive(Debug, Default)]
pub struct Cancellation {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    cancelled: bool,
    /// Process groups that run. hipcc is a script that starts a script that starts clang: all of them are meant.
    groups: Vec<u32>,
}

impl Cancellation {
    /// Stops the compilers that run; none is started any more.
    pub fn cancel(&self) {
        let mut state = self.state();
        state.cancelled = true;
        for group in &state.groups {
            terminate(*group);
        }
    }

    /// Whether [`Self::cancel`] was called.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.state().cancelled
    }

    /// Runs a command as a process group of its own.
    pub(super) fn run(&self, command: &Expression) -> io::Result<Output> {
        let command = in_own_group(command);
        let (handle, group) = {
            // Held while the process starts, so that none is started behind the back of `cancel`.
            let mut state = self.state();
            if state.cancelled {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let handle = command.start()?;
            let group = handle.pids().first().copied();
            state.groups.extend(group);
            (handle, group)
        };
        let output = handle.into_output();
        self.state().groups.retain(|known| Some(*known) != group);
        output
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(unix)]
fn in_own_group(command: &Expression) -> Expression {
    use std::os::unix::process::CommandExt as _;
    command.before_spawn(|command| {
        command.process_group(0);
        Ok(())
    })
}

#[cfg(unix)]
fn terminate(group: u32) {
    if let Ok(group) = i32::try_from(group) {
        // SAFETY: `kill` takes two numbers and touches no memory. The group is that of a child which is not yet known
        // to have ended; if it has, there is nobody to receive the signal.
        unsafe { libc::kill(-group, libc::SIGTERM) };
    }
}

#[cfg(not(unix))]
fn in_own_group(command: &Expression) -> Expression {
    command.clone()
}

#[cfg(not(unix))]
fn terminate(_group: u32) {}

#[cfg(all(test, unix))]
mod tests {
    use std::time::{Duration, Instant};

    use super::Cancellation;

    #[test]
    fn a_cancelled_command_ends_with_its_children_and_none_starts_later() {
        let cancellation = Cancellation::default();
        let start = Instant::now();
        std::thread::scope(|scope| {
            let run = scope.spawn(|| {
                // The shell waits for a child of its own, which keeps standard error open.
                let command = duct::cmd!("sh", "-c", "sleep 60; true").stderr_capture();
                cancellation.run(&command.unchecked())
            });
            while cancellation.state().groups.is_empty() {
                std::thread::sleep(Duration::from_millis(1));
            }
            cancellation.cancel();
            let output = run.join().expect("no panic").expect("it had started");
            assert!(!output.status.success());
        });
        assert!(start.elapsed() < Duration::from_secs(30));
        assert!(cancellation.run(&duct::cmd!("true")).is_err());
    }
}
