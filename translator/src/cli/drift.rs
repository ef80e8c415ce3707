//! The options `--check`, `--update` and `--lock`, which `translate` and `build` share.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;

use serde_json::json;

use super::Failure;
use super::output::stdout;
use crate::lock::{Difference, Lock, Scope};
use crate::workdir::WorkDir;

/// What is done with the lock.
#[derive(Debug, clap::Args)]
pub(super) struct LockArgs {
    /// Write nothing; fail if sources, rules, compiler or results are not as the lock says, and name what changed
    #[arg(long, conflicts_with = "update")]
    pub check: bool,
    /// Write what sources, rules, compiler and results are now to the lock
    #[arg(long)]
    pub update: bool,
    /// The lock [default: kernels-hip/kernels.lock of the checkout]
    #[arg(long, value_name = "FILE")]
    pub lock: Option<PathBuf>,
}

impl LockArgs {
    /// Whether the lock is compared or written.
    pub fn is_asked(&self) -> bool {
        self.check || self.update
    }

    /// The lock's file; `None` if none was given and this is no checkout.
    pub fn path(&self, work: &WorkDir) -> Option<PathBuf> {
        self.lock.clone().or_else(|| Lock::path(work))
    }

    /// Compares `now` with the lock, or writes it there.
    pub fn apply(
        &self,
        work: &WorkDir,
        now: Lock,
        scope: Scope,
        inputs_of: &dyn Fn(&str) -> BTreeSet<String>,
    ) -> Result<Applied, Failure> {
        let path = self.path(work).ok_or_else(|| {
            Failure::new("this is no checkout, so there is no lock")
                .help("name one with --lock FILE; --update makes it")
        })?;
        let locked = Lock::read(&path)?;
        if self.update {
            let lock = match locked {
                Some(locked) => locked.updated(now, scope),
                None => now,
            };
            return Ok(Applied {
                updated: Some(lock.write(&path)?),
                differences: Vec::new(),
                path,
            });
        }
        let locked = locked.ok_or_else(|| {
            Failure::new(format!("there is no lock at {}", path.display()))
                .help("make one with --update")
        })?;
        Ok(Applied {
            differences: locked.compare(&now, scope, inputs_of),
            updated: None,
            path,
        })
    }
}

/// What was done with the lock.
pub(super) struct Applied {
    path: PathBuf,
    /// Whether it had to be written, if it was asked for.
    updated: Option<bool>,
    differences: Vec<Difference>,
}

impl Applied {
    /// Whether something is not as the lock says.
    pub fn drifted(&self) -> bool {
        !self.differences.is_empty()
    }

    pub fn to_json(&self) -> serde_json::Value {
        json!({ "path": self.path, "updated": self.updated, "differences": self.differences })
    }

    /// Inputs first, then what they led to.
    pub fn print(&self) -> Result<(), Failure> {
        let mut out = stdout();
        let path = self.path.display();
        match self.updated {
            Some(true) => writeln!(out, "{path} updated")?,
            Some(false) => writeln!(out, "{path} is up to date")?,
            None if self.differences.is_empty() => writeln!(out, "everything is as {path} says")?,
            None => {
                let red = anstyle::AnsiColor::Red.on_default().bold();
                writeln!(out, "{red}drift{red:#} from {path}:")?;
                for difference in &self.differences {
                    writeln!(out, "  {difference}")?;
                }
                writeln!(out, "If this is what you want, --update writes it down.")?;
            }
        }
        Ok(())
    }
}
