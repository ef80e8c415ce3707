//! A build split over several machines.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use super::{BuildError, Builder, Job, PartEntry};
use crate::cache::Digest;

/// One part of a build: `2/3` is the second of three. Which jobs a part has depends on the sources alone, not on the
/// machine, so that all parts together have every job once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: u32,
    count: NonZeroU32,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('/').and_then(|(index, count)| {
            let (index, count) = (
                index.parse::<u32>().ok()?,
                count.parse::<NonZeroU32>().ok()?,
            );
            (1..=count.get())
                .contains(&index)
                .then_some(Shard { index, count })
        });
        parsed.ok_or_else(|| {
            format!("`{text}` is not a part of a build such as 1/3, from 1/N to N/N")
        })
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl Shard {
    /// What the manifest of this part says, so that only the parts of one build are put together. `all` are the jobs of
    /// the whole build.
    ///
    /// # Errors
    /// [`BuildError`] if it can't be told what the jobs are done with.
    pub fn entry(self, builder: &Builder<'_>, all: &[Job]) -> Result<PartEntry, BuildError> {
        let mut text = String::new();
        for job in all {
            let toolchain = builder.toolchain_digest(&job.target)?;
            let arguments = builder.arguments(&job.target)?.join("\n");
            text.push_str(&format!(
                "{} {} {toolchain}\n{arguments}\n",
                job.module, job.target
            ));
        }
        Ok(PartEntry {
            index: self.index,
            count: self.count.get(),
            build: Digest::of(text.as_bytes()),
            failed: Vec::new(),
        })
    }

    /// The jobs of this part, in their order. Large sources are dealt out first, so that parts take about equally long.
    #[must_use]
    pub fn of(self, builder: &Builder<'_>, jobs: Vec<Job>) -> Vec<Job> {
        let mut order: Vec<usize> = (0..jobs.len()).collect();
        order.sort_by_key(|index| std::cmp::Reverse(builder.source_size(&jobs[*index])));
        let mut chosen = vec![false; jobs.len()];
        let every = self.count.get() as usize;
        for index in order
            .into_iter()
            .skip(self.index as usize - 1)
            .step_by(every)
        {
            chosen[index] = true;
        }
        let chosen = jobs.into_iter().zip(chosen);
        chosen
            .filter_map(|(job, chosen)| chosen.then_some(job))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Shard;

    #[test]
    fn parts_are_counted_from_one() {
        for good in ["1/1", "1/3", "3/3"] {
            assert_eq!(
                good.parse::<Shard>().map(|shard| shard.to_string()),
                Ok(good.to_owned())
            );
        }
        for bad in ["0/3", "4/3", "1/0", "1", "/", "-1/3", "a/b", ""] {
            assert!(bad.parse::<Shard>().is_err(), "{bad}");
        }
    }
}
