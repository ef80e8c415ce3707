//! The bar on a terminal while compilers run: what runs, and how long it will take.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressState, ProgressStyle};

use super::Format;
use crate::build::{Event, Job};

/// Shows how far a build is. Hidden where there is no terminal.
pub(super) struct Progress {
    bar: ProgressBar,
    plan: Arc<Mutex<Plan>>,
    names: Vec<String>,
}

/// What is left to do, in seconds of the compiler, judged by how long it took last time.
#[derive(Default)]
struct Plan {
    workers: usize,
    left: BTreeMap<String, f64>,
    running: BTreeMap<String, Instant>,
}

impl Plan {
    /// How long all of it will take from now on.
    fn time_left(&self) -> f64 {
        let left = |(name, expected): (&String, &f64)| {
            let since = self.running.get(name);
            let elapsed = since.map_or(0.0, |start| start.elapsed().as_secs_f64());
            (expected - elapsed).max(0.0)
        };
        let (sum, longest) = self
            .left
            .iter()
            .map(left)
            .fold((0.0, 0.0_f64), |(sum, longest), left| {
                (sum + left, longest.max(left))
            });
        longest.max(sum / self.workers.max(1) as f64)
    }
}

impl Progress {
    pub(super) fn new(jobs: &[Job], workers: usize, format: Format) -> Self {
        let visible = format == Format::Human && std::io::stderr().is_terminal();
        let bar = if visible {
            ProgressBar::new(jobs.len() as u64)
        } else {
            ProgressBar::hidden()
        };
        let plan = Plan {
            workers,
            ..Plan::default()
        };
        let plan = Arc::new(Mutex::new(plan));
        let shown = Arc::clone(&plan);
        let left = move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
            let left = lock(&shown).time_left();
            // A bar that can't be written has no one to tell.
            let _ = write!(
                out,
                "{}",
                HumanDuration(Duration::from_secs_f64(left.ceil()))
            );
        };
        let style = ProgressStyle::with_template(
            "{bar:24} {pos}/{len}  {elapsed_precise}, {left} left  {wide_msg}",
        );
        if let Ok(style) = style {
            bar.set_style(style.with_key("left", left));
        }
        Progress {
            bar,
            plan,
            names: jobs.iter().map(name).collect(),
        }
    }

    pub(super) fn tell(&self, event: &Event<'_>) {
        let mut plan = lock(&self.plan);
        let mut done = 0;
        match event {
            Event::Planned(seconds) => {
                let named = self.names.iter().cloned();
                plan.left = named.zip(seconds.iter().copied()).collect();
            }
            Event::Compiling(job) => {
                plan.running.insert(name(job), Instant::now());
            }
            Event::Done(job, ..) => {
                plan.running.remove(&name(job));
                plan.left.remove(&name(job));
                done = 1;
            }
        }
        let running: Vec<&str> = plan.running.keys().map(String::as_str).collect();
        let message = running.join(", ");
        // The bar asks for the plan when it draws itself.
        drop(plan);
        if matches!(event, Event::Compiling(_)) {
            // Only now is it known that this takes long enough to be looked at.
            self.bar.enable_steady_tick(Duration::from_millis(200));
        }
        self.bar.inc(done);
        self.bar.set_message(message);
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn lock(plan: &Mutex<Plan>) -> MutexGuard<'_, Plan> {
    plan.lock().unwrap_or_else(PoisonError::into_inner)
}

fn name(job: &Job) -> String {
    format!("{} {}", job.module, job.target)
}

#[cfg(test)]
mod tests {
    use super::Plan;

    #[test]
    fn the_longest_job_and_the_number_of_workers_bound_the_time_left() {
        let mut plan = Plan {
            workers: 2,
            ..Plan::default()
        };
        for (name, seconds) in [("a", 8.0), ("b", 1.0), ("c", 1.0)] {
            plan.left.insert(name.to_owned(), seconds);
        }
        assert_eq!(plan.time_left(), 8.0);
        plan.left.insert("d".to_owned(), 10.0);
        assert_eq!(plan.time_left(), 10.0);
        plan.left.remove("d");
        plan.left.insert("a".to_owned(), 2.0);
        assert_eq!(plan.time_left(), 2.0);
    }
}
