//! The functions of cuBLASLt that are called, bound here because the CUDA bindings would load the library by name, and so perhaps
//! another one than a user named. Its types and numbers are the bindings'.

#![allow(unsafe_code)]

use crate::library::{LoadError, function, load};
use crate::products::ProductError;
use cudarc::cublaslt::sys;
use libloading::Library;
use std::ffi::{c_int, c_void};
use std::fmt;

type Status = sys::cublasStatus_t;
type Descriptor = sys::cublasLtMatmulDesc_t;
type Layout = sys::cublasLtMatrixLayout_t;
type Preference = sys::cublasLtMatmulPreference_t;
type Algorithm = sys::cublasLtMatmulAlgo_t;
type Data = *const c_void;

/// Why a call failed, by the library's name of it.
#[derive(Clone, Copy, Debug)]
pub struct Failure(Status);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl Failure {
    /// What the library would have returned.
    pub fn status(self) -> Status {
        self.0
    }
}

/// What a call returned as a result.
pub fn check(status: Status) -> Result<(), Failure> {
    if status == Status::CUBLAS_STATUS_SUCCESS { Ok(()) } else { Err(Failure(status)) }
}

/// No algorithm was found, as a failure.
pub const NONE_FOUND: Failure = Failure(Status::CUBLAS_STATUS_NOT_SUPPORTED);

/// The functions as the library's header declares them.
pub struct Functions {
    pub version: unsafe extern "C" fn() -> usize,
    pub create: unsafe extern "C" fn(*mut sys::cublasLtHandle_t) -> Status,
    pub destroy: unsafe extern "C" fn(sys::cublasLtHandle_t) -> Status,
    pub product_create:
        unsafe extern "C" fn(*mut Descriptor, sys::cublasComputeType_t, sys::cudaDataType) -> Status,
    pub product_destroy: unsafe extern "C" fn(Descriptor) -> Status,
    pub product_set:
        unsafe extern "C" fn(Descriptor, sys::cublasLtMatmulDescAttributes_t, Data, usize) -> Status,
    pub layout_create: unsafe extern "C" fn(*mut Layout, sys::cudaDataType, u64, u64, i64) -> Status,
    pub layout_destroy: unsafe extern "C" fn(Layout) -> Status,
    pub layout_set: unsafe extern "C" fn(Layout, sys::cublasLtMatrixLayoutAttribute_t, Data, usize) -> Status,
    pub preference_create: unsafe extern "C" fn(*mut Preference) -> Status,
    pub preference_destroy: unsafe extern "C" fn(Preference) -> Status,
    pub preference_set:
        unsafe extern "C" fn(Preference, sys::cublasLtMatmulPreferenceAttributes_t, Data, usize) -> Status,
    /// Handle, descriptor, layouts of A, B, C and D, preference, how many results there is room for; results, their number.
    pub find: unsafe extern "C" fn(
        sys::cublasLtHandle_t,
        Descriptor,
        Layout,
        Layout,
        Layout,
        Layout,
        Preference,
        c_int,
        *mut sys::cublasLtMatmulHeuristicResult_t,
        *mut c_int,
    ) -> Status,
    /// Handle, descriptor, α, A, B, β, C, D each with its layout, algorithm, workspace, its bytes, stream.
    pub multiply: unsafe extern "C" fn(
        sys::cublasLtHandle_t,
        Descriptor,
        Data,
        Data,
        Layout,
        Data,
        Layout,
        Data,
        Data,
        Layout,
        *mut c_void,
        Layout,
        *const Algorithm,
        *mut c_void,
        usize,
        sys::cudaStream_t,
    ) -> Status,
}

impl Functions {
    /// Those of the library, or why it is not used.
    pub fn load() -> Result<Self, ProductError> {
        let missing = |reason: String| ProductError::Missing { reason };
        let names = ["libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so.11", "libcublasLt.so"];
        let library =
            load("libcublasLt.so", None, &names).map_err(|error: LoadError| missing(error.to_string()))?;
        Self::of(library).map_err(|error| missing(error.to_string()))
    }

    fn of(library: &'static Library) -> Result<Self, libloading::Error> {
        // SAFETY: the types are those of the library's header, which has not changed them since CUDA 11.0.
        unsafe {
            Ok(Self {
                version: function(library, "cublasLtGetVersion")?,
                create: function(library, "cublasLtCreate")?,
                destroy: function(library, "cublasLtDestroy")?,
                product_create: function(library, "cublasLtMatmulDescCreate")?,
                product_destroy: function(library, "cublasLtMatmulDescDestroy")?,
                product_set: function(library, "cublasLtMatmulDescSetAttribute")?,
                layout_create: function(library, "cublasLtMatrixLayoutCreate")?,
                layout_destroy: function(library, "cublasLtMatrixLayoutDestroy")?,
                layout_set: function(library, "cublasLtMatrixLayoutSetAttribute")?,
                preference_create: function(library, "cublasLtMatmulPreferenceCreate")?,
                preference_destroy: function(library, "cublasLtMatmulPreferenceDestroy")?,
                preference_set: function(library, "cublasLtMatmulPreferenceSetAttribute")?,
                find: function(library, "cublasLtMatmulAlgoGetHeuristic")?,
                multiply: function(library, "cublasLtMatmul")?,
            })
        }
    }
}
