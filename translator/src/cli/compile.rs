//! What every command that compiles is told, and how it compiles.

use super::interrupt::Interrupt;
use super::progress::Progress;
use super::{Failure, Format};
use crate::build::{self, Builder, Job, JobError, Object};
use crate::cache;

/// What is compiled, and by how many compilers.
#[derive(Debug, clap::Args)]
pub(super) struct CompileArgs {
    /// Architectures: gfx1100, gfx90a:xnack-, families (rdna3), rdna, cdna, common, generic, all
    #[arg(
        long = "arch",
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "gfx1100"
    )]
    pub archs: Vec<String>,
    /// Modules: names, patterns (mmq_gguf/*), or ptx, static, all
    #[arg(
        long = "module",
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "ptx"
    )]
    pub modules: Vec<String>,
    /// How many compilers run at once [default: one a core]
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
}

impl CompileArgs {
    /// How many compilers run at once.
    pub fn workers(&self) -> usize {
        self.jobs.map_or_else(build::cores, usize::from)
    }

    /// The code objects of all jobs, in their order, with progress on a terminal. Fails if the user cancels it.
    pub fn objects(
        &self,
        builder: &Builder<'_>,
        jobs: &[Job],
        format: Format,
    ) -> Result<Vec<Result<Object, JobError>>, Failure> {
        cache::limit()?;
        let workers = self.workers();
        let interrupt = Interrupt::catch()?;
        let progress = Progress::new(jobs, workers, format);
        let watch = |event: build::Event<'_>| progress.tell(&event);
        let results = builder.objects(jobs, workers, &watch, Some(interrupt.cancellation()));
        progress.finish();
        match interrupt.caught() {
            Some(cancelled) => Err(cancelled.into()),
            None => Ok(results),
        }
    }
}
