//! The functions of NVIDIA's library of collectives, as its header declares them, and a communicator made by them.

#![allow(unsafe_code)]

use crate::device::Buffer;
use crate::library::{function, load};
use crate::ranks::Move;
use libloading::Library;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The library's file, in any folder.
const FILE: &str = "libnccl.so.2";
/// Its code for floats.
const FLOAT: c_int = 7;
/// Its code for sums.
const SUM: c_int = 0;
/// Its codes for no error, and for a communicator that is not yet ready.
const WELL: [c_int; 2] = [0, 7];

/// What names a group of ranks, by value across the library's interface.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct UniqueId(pub [u8; 128]);

type Comm = *mut c_void;
/// A stream of the driver.
pub(super) type Stream = *mut c_void;

/// The library.
pub(super) struct Functions {
    version: unsafe extern "C" fn(*mut c_int) -> c_int,
    error: unsafe extern "C" fn(c_int) -> *const c_char,
    unique_id: unsafe extern "C" fn(*mut UniqueId) -> c_int,
    join: unsafe extern "C" fn(*mut Comm, c_int, UniqueId, c_int) -> c_int,
    start: unsafe extern "C" fn() -> c_int,
    end: unsafe extern "C" fn() -> c_int,
    all_reduce: unsafe extern "C" fn(*const c_void, *mut c_void, usize, c_int, c_int, Comm, Stream) -> c_int,
    reduce:
        unsafe extern "C" fn(*const c_void, *mut c_void, usize, c_int, c_int, c_int, Comm, Stream) -> c_int,
    broadcast: unsafe extern "C" fn(*const c_void, *mut c_void, usize, c_int, c_int, Comm, Stream) -> c_int,
    /// Since version 2.4.
    abort: Option<unsafe extern "C" fn(Comm) -> c_int>,
    /// Since version 2.4.
    failure: Option<unsafe extern "C" fn(Comm, *mut c_int) -> c_int>,
}

impl Functions {
    pub fn load() -> Result<Self, String> {
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
                start: function(library, "ncclGroupStart")?,
                end: function(library, "ncclGroupEnd")?,
                all_reduce: function(library, "ncclAllReduce")?,
                reduce: function(library, "ncclReduce")?,
                broadcast: function(library, "ncclBroadcast")?,
                abort: function(library, "ncclCommAbort").ok(),
                failure: function(library, "ncclCommGetAsyncError").ok(),
            })
        }
    }

    /// What a version before 2.4 lacks, and what that means.
    pub fn lacks(&self) -> Option<&'static str> {
        let lacks = self.abort.is_none() || self.failure.is_none();
        lacks.then_some(
            "this NCCL has no `ncclCommAbort` or no `ncclCommGetAsyncError`: a collective that fails on the devices is \
             noticed when the patience with it is over, and ends its process at once\n\
             hint: use version 2.4 or newer",
        )
    }

    pub fn version(&self) -> Result<c_int, String> {
        let mut version = 0;
        // SAFETY: the pointer is to a live integer.
        self.check("ncclGetVersion", unsafe { (self.version)(&mut version) }).map(|()| version)
    }

    pub fn unique_id(&self) -> Result<UniqueId, String> {
        let mut id = UniqueId([0; 128]);
        // SAFETY: the pointer is to a live identifier.
        self.check("ncclGetUniqueId", unsafe { (self.unique_id)(&mut id) }).map(|()| id)
    }

    /// Joins the group `id` from the device whose context is current on this thread.
    pub fn join(self, id: UniqueId, [rank, size]: [usize; 2]) -> Result<Communicator, String> {
        let mut comm = std::ptr::null_mut();
        // SAFETY: the pointer is to a live handle.
        let code = unsafe { (self.join)(&mut comm, size as c_int, id, rank as c_int) };
        self.check("ncclCommInitRank", code)?;
        Ok(Communicator { functions: self, handle: Mutex::new(Handle(Some(comm))) })
    }

    fn check(&self, call: &str, code: c_int) -> Result<(), String> {
        if code == 0 { Ok(()) } else { Err(format!("NCCL: `{call}`: {}", self.meaning(code))) }
    }

    fn meaning(&self, code: c_int) -> String {
        // SAFETY: the function returns a static string that ends in zero, whatever the code.
        unsafe { CStr::from_ptr((self.error)(code)) }.to_string_lossy().into_owned()
    }
}

/// A rank's end of a group, shared by the thread that queues and the one that watches.
pub(super) struct Communicator {
    functions: Functions,
    handle: Mutex<Handle>,
}

/// `None` once it is ended.
struct Handle(Option<Comm>);

// SAFETY: the library takes a communicator from any thread, one at a time, which the mutex around it sees to.
unsafe impl Send for Handle {}

impl Communicator {
    fn handle(&self) -> MutexGuard<'_, Handle> {
        self.handle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues `moves` as one on `stream`; all ranks queue the same.
    pub fn queue(&self, moves: &[(Buffer, usize, Move)], stream: Stream) -> Result<(), String> {
        let functions = &self.functions;
        let handle = self.handle();
        let Some(comm) = handle.0 else { return Err("NCCL: the communicator was ended".to_owned()) };
        // SAFETY: takes nothing.
        functions.check("ncclGroupStart", unsafe { (functions.start)() })?;
        for (buffer, words, what) in moves {
            let at = buffer.address() as *mut c_void;
            // SAFETY: the buffers have so many floats on this device, and in place is allowed; all ranks of the
            // communicator queue the same.
            let (call, code) = unsafe {
                match *what {
                    Move::Sum => {
                        ("ncclAllReduce", (functions.all_reduce)(at, at, *words, FLOAT, SUM, comm, stream))
                    }
                    Move::SumAt(root) => (
                        "ncclReduce",
                        (functions.reduce)(at, at, *words, FLOAT, SUM, root as c_int, comm, stream),
                    ),
                    Move::From(root) => (
                        "ncclBroadcast",
                        (functions.broadcast)(at, at, *words, FLOAT, root as c_int, comm, stream),
                    ),
                }
            };
            functions.check(call, code)?;
        }
        // SAFETY: takes nothing.
        functions.check("ncclGroupEnd", unsafe { (functions.end)() })
    }

    /// What failed behind the calls' backs, in the library's words. Nothing is known while a call is under way.
    pub fn failure(&self) -> Option<String> {
        let failure = self.functions.failure?;
        let handle = self.handle.try_lock().ok()?;
        let mut code = 0;
        // SAFETY: the communicator is live as long as its handle is there, and the pointer is to a live integer.
        let asked = unsafe { failure(handle.0?, &mut code) };
        (asked == 0 && !WELL.contains(&code)).then(|| self.functions.meaning(code))
    }

    /// Ends it: what it does on the device stops, whatever the other ranks do.
    pub fn abort(&self) {
        let comm = self.handle().0.take();
        if let (Some(comm), Some(abort)) = (comm, self.functions.abort) {
            // SAFETY: the communicator is live, and this is its last use.
            let _ = unsafe { abort(comm) };
        }
    }
}

impl Drop for Communicator {
    /// The orderly end would wait for all ranks.
    fn drop(&mut self) {
        self.abort();
    }
}
