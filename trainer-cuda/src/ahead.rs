//! Code made before anything asks for it: every unit for some architectures, on all cores, into one folder.
//!
//! The compiler needs no GPU, so a folder for the machines that have one may come from any machine. What is in the folder
//! stays as it is: a name says what a file holds ([`crate::code`]).

use crate::cache;
use crate::code::{Unit, units};
use crate::kernel::Kernel;
use crate::nvrtc::{Nvrtc, NvrtcError, Usage};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;
use std::{fs, io, thread};
use thiserror::Error;

/// Why code was not made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AheadError {
    /// The compiler.
    #[error(transparent)]
    Compiler(#[from] NvrtcError),
    /// The folder.
    #[error("cannot write `{}`: {source}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Code of one unit for one architecture, in the folder.
#[derive(Debug)]
pub struct Code {
    /// What it is of.
    pub unit: Unit,
    /// Its entry points.
    pub kernels: Vec<&'static Kernel>,
    /// The architecture.
    pub arch: String,
    /// Name of the file.
    pub name: String,
    /// The file's size.
    pub bytes: u64,
    /// How it was made; `None` where it was there.
    pub made: Option<Made>,
}

/// A compilation.
#[derive(Clone, Debug)]
pub struct Made {
    /// Wall-clock time on its thread.
    pub seconds: f64,
    /// What each of the kernels needs; `None` where the compiler does not say.
    pub usages: Vec<Option<Usage>>,
}

/// A folder that has everything.
#[derive(Debug)]
pub struct Filled {
    /// Its files, by architecture and source.
    pub codes: Vec<Code>,
    /// Version of the compiler, if there was something to compile.
    pub compiler: Option<(i32, i32)>,
}

/// Brings `folder` to hold the code of every unit for `archs`, such as `sm_90`, on `threads` threads. The compiler is loaded
/// only if something is missing.
pub fn compile_ahead(archs: &[String], folder: &Path, threads: usize) -> Result<Filled, AheadError> {
    let mut codes = Vec::new();
    for arch in archs {
        for (unit, kernels) in units(arch) {
            let name = unit.file_name(arch);
            let bytes = fs::metadata(folder.join(&name)).map_or(0, |file| file.len());
            codes.push(Code { unit, kernels, arch: arch.clone(), name, bytes, made: None });
        }
    }
    let missing: Vec<&mut Code> = codes.iter_mut().filter(|code| code.bytes == 0).collect();
    if missing.is_empty() {
        return Ok(Filled { codes, compiler: None });
    }
    let nvrtc = Nvrtc::load()?;
    let write = |source| AheadError::Write { path: folder.to_path_buf(), source };
    fs::create_dir_all(folder).map_err(write)?;
    on_threads(threads, missing, |code| code.make(nvrtc, folder))?;
    Ok(Filled { codes, compiler: Some(nvrtc.version) })
}

impl Code {
    fn make(&mut self, nvrtc: Nvrtc, folder: &Path) -> Result<(), AheadError> {
        let start = Instant::now();
        let compilation = nvrtc.compile(self.unit.source, &self.arch, self.unit.storage)?;
        let seconds = start.elapsed().as_secs_f64();
        let usages = self.kernels.iter().map(|kernel| compilation.usage(kernel.entry)).collect();
        let path = folder.join(&self.name);
        let written = cache::store_in(folder, &self.name, &compilation.code);
        let bytes = written.and_then(|()| Ok(fs::metadata(&path)?.len()));
        self.bytes = bytes.map_err(|source| AheadError::Write { path, source })?;
        self.made = Some(Made { seconds, usages });
        Ok(())
    }
}

/// Does all jobs; when one fails, only those that are under way, and returns a failure.
fn on_threads<T: Send, E: Send>(
    threads: usize,
    jobs: Vec<T>,
    job: impl Fn(T) -> Result<(), E> + Sync,
) -> Result<(), E> {
    let threads = threads.clamp(1, jobs.len().max(1));
    let jobs = Mutex::new(jobs.into_iter());
    let left = || jobs.lock().expect("nobody panics with the lock");
    let draw = || left().next();
    let work = || {
        while let Some(next) = draw() {
            job(next).inspect_err(|_| left().by_ref().for_each(drop))?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let ended = running.into_iter().map(|thread| thread.join().expect("a job does not panic"));
        ended.fold(Ok(()), Result::and)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_is_done_once_on_any_number_of_threads() {
        for threads in [0, 1, 3, 100] {
            let mut counts = [0; 50];
            let add = |count: &mut i32| {
                *count += 1;
                Ok::<(), ()>(())
            };
            on_threads(threads, counts.iter_mut().collect(), add).expect("no job fails");
            assert_eq!(counts, [1; 50], "{threads} threads");
        }
        on_threads(4, Vec::<()>::new(), |()| Err(())).expect("there is no job");
    }

    #[test]
    fn after_a_failure_no_job_is_begun() {
        let begun = Mutex::new(0);
        let job = |number: usize| {
            *begun.lock().expect("a count") += 1;
            if number == 3 { Err(number) } else { Ok(()) }
        };
        assert_eq!(on_threads(1, (0..100).collect(), job), Err(3));
        assert_eq!(*begun.lock().expect("a count"), 4);
    }
}
