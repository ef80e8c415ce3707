//! Which job is done next, and by how many at a time.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Mutex, mpsc};
use std::{fs, thread};

use crate::cache::Cache;
use crate::files::write_whole;

/// How many compilers run at once unless told otherwise: one a core.
#[must_use]
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Runs `work` for every job, at most `workers` at a time, in the order given, and hands each result to `done` on
/// this thread as it comes in.
pub(super) fn run<J: Send + Sync, R: Send>(
    jobs: &[J],
    workers: usize,
    work: impl Fn(&J) -> R + Sync,
    mut done: impl FnMut(usize, R),
) {
    let queue: Mutex<VecDeque<usize>> = Mutex::new((0..jobs.len()).collect());
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..workers.clamp(1, jobs.len().max(1)) {
            let sender = sender.clone();
            let (queue, work) = (&queue, &work);
            scope.spawn(move || {
                loop {
                    let next = queue
                        .lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner)
                        .pop_front();
                    let Some(index) = next else { break };
                    if sender.send((index, work(&jobs[index]))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        for (index, result) in receiver {
            done(index, result);
        }
    });
}

/// How long jobs took when they were last compiled, by a name that says what was compiled for what. Guesses for the
/// next time: the longest job is started first, so that none is left over when the others are done.
#[derive(Debug, Default)]
pub(super) struct Times {
    path: PathBuf,
    seconds: BTreeMap<String, f64>,
    changed: bool,
}

impl Times {
    pub fn open(cache: &Cache) -> Self {
        let path = cache.times_path();
        let seconds = fs::read(&path)
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default();
        Times {
            path,
            seconds,
            changed: false,
        }
    }

    /// Seconds for `module` on `target`: as last time, or as the longest time on another target, or a guess by the
    /// size of the source.
    pub fn expected(&self, module: &str, target: &str, bytes: u64) -> f64 {
        if let Some(seconds) = self.seconds.get(&name(module, target)) {
            return *seconds;
        }
        let others = self
            .seconds
            .iter()
            .filter(|(name, _)| name.rsplit_once(' ').is_some_and(|(m, _)| m == module));
        let longest = others.map(|(_, seconds)| *seconds).fold(0.0, f64::max);
        // quantized.cu, 178 kB, takes about half a minute.
        if longest > 0.0 {
            longest
        } else {
            bytes as f64 / 6000.0
        }
    }

    pub fn note(&mut self, module: &str, target: &str, seconds: f64) {
        self.seconds.insert(name(module, target), seconds);
        self.changed = true;
    }

    /// Keeps what was noted. Another process that does so at the same moment may lose its guesses, no more.
    pub fn save(&self) {
        if self.changed
            && let Ok(text) = serde_json::to_vec_pretty(&self.seconds)
        {
            let _ = write_whole(&self.path, &text);
        }
    }
}

fn name(module: &str, target: &str) -> String {
    format!("{module} {target}")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::{Times, run};
    use crate::cache::Cache;

    #[test]
    fn every_job_is_done_once_by_so_many_at_a_time() {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let jobs: Vec<usize> = (0..20).collect();
        let mut results = vec![0; 20];
        let work = |job: &usize| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(2));
            now.fetch_sub(1, Ordering::SeqCst);
            job + 1
        };
        run(&jobs, 3, work, |index, result| results[index] += result);
        assert_eq!(results, (1..=20).collect::<Vec<_>>());
        assert!((2..=3).contains(&most.load(Ordering::SeqCst)), "{most:?}");
        run(&jobs[..0], 0, |_| (), |_, ()| unreachable!("no job"));
    }

    #[test]
    fn guesses() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let cache = Cache::at(dir.path());
        cache
            .store(crate::cache::Digest::of(b"k"), b"", 0.0, Vec::new())
            .expect("stored");
        let mut times = Times::open(&cache);
        assert!(times.expected("big", "gfx1100", 60_000) > times.expected("small", "gfx1100", 600));
        times.note("small", "gfx1100", 50.0);
        times.save();
        let times = Times::open(&cache);
        assert!(times.expected("small", "gfx1030", 600) > times.expected("big", "gfx1030", 60_000));
    }
}
