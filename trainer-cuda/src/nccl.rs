//! NVIDIA's library of collectives between GPUs, found at run time: the [`Link`] of ranks that own a GPU each.
//!
//! Its eight functions are bound here, because the library goes by a name (`libnccl.so.2`) that the CUDA bindings do not
//! look for. Ranks use it together or not at all: one without it, or whose GPU another rank has, is told by all.

#![allow(unsafe_code)]

use crate::Cuda;
use crate::device::{Beside, Buffer, Device};
use crate::library::{function, load};
use crate::ranks::{Link, Move};
use golf_core::backend::BackendError;
use golf_core::collective::{Call, CollectiveError, Transport};
use libloading::Library;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::Arc;

/// The library's file, in any folder.
const FILE: &str = "libnccl.so.2";
/// Its code for floats.
const FLOAT: c_int = 7;
/// Its code for sums.
const SUM: c_int = 0;

/// What names a group of ranks, by value across the library's interface.
#[repr(C)]
#[derive(Clone, Copy)]
struct UniqueId([u8; 128]);

type Comm = *mut c_void;
type Stream = *mut c_void;

/// The functions of the library, as its header declares them.
struct Functions {
    version: unsafe extern "C" fn(*mut c_int) -> c_int,
    error: unsafe extern "C" fn(c_int) -> *const c_char,
    unique_id: unsafe extern "C" fn(*mut UniqueId) -> c_int,
    join: unsafe extern "C" fn(*mut Comm, c_int, UniqueId, c_int) -> c_int,
    abort: unsafe extern "C" fn(Comm) -> c_int,
    start: unsafe extern "C" fn() -> c_int,
    end: unsafe extern "C" fn() -> c_int,
    all_reduce: unsafe extern "C" fn(*const c_void, *mut c_void, usize, c_int, c_int, Comm, Stream) -> c_int,
    reduce:
        unsafe extern "C" fn(*const c_void, *mut c_void, usize, c_int, c_int, c_int, Comm, Stream) -> c_int,
    broadcast: unsafe extern "C" fn(*const c_void, *mut c_void, usize, c_int, c_int, Comm, Stream) -> c_int,
}

impl Functions {
    fn load() -> Result<Self, String> {
        let library = load(FILE, None, &[FILE]).map_err(|error| format!("NCCL (`{FILE}`): {error}"))?;
        Self::of(library).map_err(|error| format!("NCCL (`{FILE}`): {error}"))
    }

    fn of(library: &'static Library) -> Result<Self, libloading::Error> {
        // SAFETY: the types are those of the library's header, which has not changed them since its version 2.0.
        unsafe {
            Ok(Self {
                version: function(library, "ncclGetVersion")?,
                error: function(library, "ncclGetErrorString")?,
                unique_id: function(library, "ncclGetUniqueId")?,
                join: function(library, "ncclCommInitRank")?,
                abort: function(library, "ncclCommAbort")?,
                start: function(library, "ncclGroupStart")?,
                end: function(library, "ncclGroupEnd")?,
                all_reduce: function(library, "ncclAllReduce")?,
                reduce: function(library, "ncclReduce")?,
                broadcast: function(library, "ncclBroadcast")?,
            })
        }
    }

    fn check(&self, call: &str, code: c_int) -> Result<(), String> {
        if code == 0 {
            return Ok(());
        }
        // SAFETY: the function returns a static string that ends in zero, whatever the code.
        let text = unsafe { CStr::from_ptr((self.error)(code)) };
        Err(format!("NCCL: `{call}`: {}", text.to_string_lossy()))
    }
}

/// Version of the library, or why it is not used.
pub fn nccl_version() -> Result<(i32, i32), String> {
    let functions = Functions::load()?;
    let mut version = 0;
    // SAFETY: the pointer is to a live integer.
    functions.check("ncclGetVersion", unsafe { (functions.version)(&mut version) })?;
    // 22304 is 2.23.4; before version 2.9 there was a digit less.
    Ok(if version >= 10_000 {
        (version / 10_000, version / 100 % 100)
    } else {
        (version / 1000, version / 100 % 10)
    })
}

/// The GPUs of all ranks, connected.
pub struct Nccl {
    functions: Functions,
    comm: Comm,
    /// Where moves are queued, so that the device's own work goes on beside them.
    beside: Beside,
}

impl Nccl {
    /// Connects `cuda` to the GPUs of the other ranks of `transport`. The inner result is the same on all of them: a reason
    /// means that none of them has a link.
    pub fn meet(
        cuda: &Cuda<Device>,
        transport: &mut dyn Transport,
    ) -> Result<Result<Nccl, String>, CollectiveError> {
        let functions = agree(transport, "NCCL", Functions::load())?;
        let functions = match functions {
            Ok(functions) => functions,
            Err(reason) => return Ok(Err(reason)),
        };
        let mut id = UniqueId([0; 128]);
        if transport.rank() == 0 {
            // SAFETY: the pointer is to a live identifier.
            let code = unsafe { (functions.unique_id)(&mut id) };
            if let Err(reason) = functions.check("ncclGetUniqueId", code) {
                // The others have no identifier then; what they do with none fails as well, and all agree below.
                eprintln!("warning: {reason}");
            }
        }
        let message = Arc::new(id.0.to_vec());
        let ids = transport.exchange(Call::step("NCCL's identifier"), vec![message; transport.size()])?;
        if let Ok(first) = <[u8; 128]>::try_from(ids[0].as_slice()) {
            id = UniqueId(first);
        }
        let joined = join(&functions, cuda, id, [transport.rank(), transport.size()]);
        let joined = joined.and_then(|comm| {
            let beside = cuda.driver().beside().map_err(|error| error.to_string())?;
            Ok((comm, beside))
        });
        let joined = agree(transport, "NCCL's communicator", joined)?;
        Ok(joined.map(|(comm, beside)| Nccl { functions, comm, beside }))
    }
}

fn join(
    functions: &Functions,
    cuda: &Cuda<Device>,
    id: UniqueId,
    [rank, size]: [usize; 2],
) -> Result<Comm, String> {
    if id.0 == [0; 128] {
        return Err("rank 0 made no identifier".to_owned());
    }
    cuda.driver().bind().map_err(|error| error.to_string())?;
    let mut comm = std::ptr::null_mut();
    // SAFETY: this rank's context is bound, and the pointer is to a live handle.
    let code = unsafe { (functions.join)(&mut comm, size as c_int, id, rank as c_int) };
    functions.check("ncclCommInitRank", code).map(|()| comm)
}

/// `own`, where every rank has one; otherwise the reason of the first that has none.
fn agree<T>(
    transport: &mut dyn Transport,
    name: &str,
    own: Result<T, String>,
) -> Result<Result<T, String>, CollectiveError> {
    let message = Arc::new(own.as_ref().err().map_or(Vec::new(), |reason| reason.clone().into_bytes()));
    let messages = transport.exchange(Call::step(name), vec![message; transport.size()])?;
    let refusal = messages.iter().enumerate().find(|(_, message)| !message.is_empty());
    Ok(match refusal {
        Some((rank, reason)) => Err(format!("rank {rank}: {}", String::from_utf8_lossy(reason))),
        None => own,
    })
}

impl Link<Device> for Nccl {
    fn run(&mut self, device: &mut Device, moves: &[(Buffer, usize, Move)]) -> Result<(), BackendError> {
        device.bind()?;
        device.fork(&self.beside)?;
        let Self { functions, comm, beside } = self;
        let stream: Stream = beside.handle().cast();
        let queue = || {
            // SAFETY: takes nothing.
            functions.check("ncclGroupStart", unsafe { (functions.start)() })?;
            for (buffer, words, what) in moves {
                let at = buffer.address() as *mut c_void;
                // SAFETY: the buffers have so many floats on this device, and in place is allowed; all ranks of the
                // communicator queue the same.
                let (call, code) = unsafe {
                    match *what {
                        Move::Sum => (
                            "ncclAllReduce",
                            (functions.all_reduce)(at, at, *words, FLOAT, SUM, *comm, stream),
                        ),
                        Move::SumAt(root) => (
                            "ncclReduce",
                            (functions.reduce)(at, at, *words, FLOAT, SUM, root as c_int, *comm, stream),
                        ),
                        Move::From(root) => (
                            "ncclBroadcast",
                            (functions.broadcast)(at, at, *words, FLOAT, root as c_int, *comm, stream),
                        ),
                    }
                };
                functions.check(call, code)?;
            }
            // SAFETY: takes nothing.
            functions.check("ncclGroupEnd", unsafe { (functions.end)() })
        };
        queue().map_err(|message| device.link_failed(message))
    }

    fn join(&mut self, device: &mut Device) -> Result<(), BackendError> {
        device.join(&self.beside)
    }
}

impl Drop for Nccl {
    fn drop(&mut self) {
        // SAFETY: the communicator is live, and this is its last use. The orderly end would wait for all ranks.
        let _ = unsafe { (self.functions.abort)(self.comm) };
    }
}
