//! Products by NVIDIA's library, which is found at run time: descriptors and an algorithm, chosen once per shape.
//!
//! Invariant: a product is deterministic. Algorithms are the library's for this shape and device, in its own order; their
//! workspace is fixed, and reductions in place, which add in the order of arrival, are not allowed.

#![allow(unsafe_code)]

mod functions;

use crate::footprint::WORKSPACE;
use crate::gemm::{Columns, Gemm, Onto, Stored};
use crate::products::ProductError;
use cudarc::cublaslt::sys;
use functions::{Failure, Functions, NONE_FOUND, check};
use std::ffi::c_void;
use std::ptr;
use std::rc::Rc;

/// The loaded library and its handle. What is prepared keeps it.
pub(crate) struct CublasLt(Rc<Open>);

struct Open {
    functions: Functions,
    handle: sys::cublasLtHandle_t,
}

/// A product ready to be formed by one of the library's algorithms.
#[derive(Clone)]
pub struct Product {
    prepared: Rc<Prepared>,
    algorithm: sys::cublasLtMatmulAlgo_t,
}

impl Product {
    /// Bytes of an entry of the result.
    pub fn result_bytes(&self) -> usize {
        self.prepared.result_bytes
    }
}

/// Algorithms that the library is asked for.
const ALGORITHMS: usize = 8;

struct Prepared {
    product: Description,
    left: Layout,
    right: Layout,
    result: Layout,
    /// How often what it is added to is in the result.
    beta: f32,
    /// Of an entry of the result.
    result_bytes: usize,
}

/// What a product is, apart from its matrices.
struct Description {
    raw: sys::cublasLtMatmulDesc_t,
    library: Rc<Open>,
}

/// Layout of a matrix.
struct Layout {
    raw: sys::cublasLtMatrixLayout_t,
    library: Rc<Open>,
}

/// Device addresses of a product's first operand, second operand, of what it is added to and of its result in column-major words,
/// and of the workspace.
pub(crate) struct Addresses {
    pub left: u64,
    pub right: u64,
    pub onto: u64,
    pub result: u64,
    pub workspace: u64,
}

/// Version of the library, or why it is not used.
pub fn version() -> Result<(i32, i32), ProductError> {
    let functions = Functions::load()?;
    // SAFETY: the function takes nothing.
    let version = unsafe { (functions.version)() } as i32;
    // 130001 is 13.0.1; before version 12 there was a digit less.
    Ok(if version >= 100_000 {
        (version / 10_000, version / 100 % 100)
    } else {
        (version / 1000, version / 100 % 10)
    })
}

impl CublasLt {
    /// Loads the library for the context that is bound to this thread.
    pub fn load() -> Result<Self, ProductError> {
        let functions = Functions::load()?;
        let mut handle = ptr::null_mut();
        // SAFETY: the pointer is to a live handle.
        let created = check(unsafe { (functions.create)(&mut handle) });
        created.map_err(|failure| ProductError::Missing { reason: failure.to_string() })?;
        Ok(Self(Rc::new(Open { functions, handle })))
    }

    /// Descriptors of `gemm` with each of its algorithms, at least one, the library's favourite first.
    pub fn prepare(&self, gemm: &Gemm) -> Result<Vec<Product>, ProductError> {
        let refused = |failure: Failure| ProductError::Refused { gemm: *gemm, reason: failure.to_string() };
        let prepared = Rc::new(self.prepared(gemm).map_err(refused)?);
        let algorithms = self.algorithms(&prepared, gemm).map_err(refused)?;
        let product = |algorithm| Product { prepared: Rc::clone(&prepared), algorithm };
        Ok(algorithms.into_iter().map(product).collect())
    }

    fn prepared(&self, gemm: &Gemm) -> Result<Prepared, Failure> {
        use sys::cublasLtMatmulDescAttributes_t as Attribute;
        use sys::cudaDataType_t::{CUDA_R_16BF, CUDA_R_32F};
        let Columns { left, right, result } = gemm.columns();
        let layout = |stored, entry| Layout::new(&self.0, stored, entry, gemm.stack);
        let prepared = Prepared {
            product: Description::new(&self.0)?,
            left: layout(left, CUDA_R_16BF)?,
            right: layout(right, CUDA_R_16BF)?,
            result: layout(result, if gemm.half { CUDA_R_16BF } else { CUDA_R_32F })?,
            beta: f32::from(u8::from(gemm.onto != Onto::Nothing)),
            result_bytes: gemm.result_bytes(),
        };
        prepared.product.set(Attribute::CUBLASLT_MATMUL_DESC_TRANSA, left.transposed)?;
        prepared.product.set(Attribute::CUBLASLT_MATMUL_DESC_TRANSB, right.transposed)?;
        Ok(prepared)
    }

    /// The library's choices under our conditions.
    fn algorithms(
        &self,
        prepared: &Prepared,
        gemm: &Gemm,
    ) -> Result<Vec<sys::cublasLtMatmulAlgo_t>, Failure> {
        use sys::cublasLtMatmulPreferenceAttributes_t as Attribute;
        let preference = Preference::new(&self.0)?;
        let workspace = WORKSPACE as u64;
        let schemes = sys::cublasLtReductionScheme_t::CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE as u32;
        // The library's first operand is our right one.
        let ([right, left], result) =
            (gemm.operand_alignments().map(|bytes| bytes as u32), gemm.alignment as u32);
        preference.set(Attribute::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace)?;
        let words = [
            (Attribute::CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, schemes),
            (Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, left),
            (Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, right),
            (Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, result),
            (Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, result),
        ];
        words.into_iter().try_for_each(|(attribute, word)| preference.set(attribute, &word))?;
        let mut found = [sys::cublasLtMatmulHeuristicResult_t {
            algo: sys::cublasLtMatmulAlgo_t { data: [0; 8] },
            workspaceSize: 0,
            state: NONE_FOUND.status(),
            wavesCount: 0.0,
            reserved: [0; 4],
        }; ALGORITHMS];
        let mut count = 0;
        // SAFETY: handle and descriptors are live, and there is room for as many results as are asked for.
        check(unsafe {
            (self.0.functions.find)(
                self.0.handle,
                prepared.product.raw,
                prepared.left.raw,
                prepared.right.raw,
                prepared.result.raw,
                prepared.result.raw,
                preference.raw,
                ALGORITHMS as i32,
                found.as_mut_ptr(),
                &mut count,
            )
        })?;
        let found = &found[..(count.max(0) as usize).min(ALGORITHMS)];
        let sound: Vec<_> =
            found.iter().filter(|result| check(result.state).is_ok()).map(|result| result.algo).collect();
        if sound.is_empty() { Err(NONE_FOUND) } else { Ok(sound) }
    }

    /// Queues `product` on `stream`.
    ///
    /// # Safety
    ///
    /// The stream is live, and the addresses are of buffers with the entries of the product, of [`WORKSPACE`] bytes for the
    /// workspace, in the context that the library was loaded for.
    pub unsafe fn multiply(
        &self,
        Product { prepared: product, algorithm }: &Product,
        at: &Addresses,
        stream: cudarc::driver::sys::CUstream,
    ) -> Result<(), Failure> {
        let alpha = 1.0f32;
        // SAFETY: as above; alpha and beta are read before the call returns.
        check(unsafe {
            (self.0.functions.multiply)(
                self.0.handle,
                product.product.raw,
                pointer(&alpha),
                at.left as *const c_void,
                product.left.raw,
                at.right as *const c_void,
                product.right.raw,
                pointer(&product.beta),
                at.onto as *const c_void,
                product.result.raw,
                at.result as *mut c_void,
                product.result.raw,
                algorithm,
                at.workspace as *mut c_void,
                WORKSPACE,
                stream.cast(),
            )
        })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // SAFETY: the handle is live, and this is its last use. There is nobody to tell of a failure.
        let _ = unsafe { (self.functions.destroy)(self.handle) };
    }
}

impl Description {
    /// Of sums and scales in f32.
    fn new(library: &Rc<Open>) -> Result<Self, Failure> {
        let (compute, scale) =
            (sys::cublasComputeType_t::CUBLAS_COMPUTE_32F, sys::cudaDataType_t::CUDA_R_32F);
        let mut raw = ptr::null_mut();
        // SAFETY: the pointer is to a live descriptor.
        check(unsafe { (library.functions.product_create)(&mut raw, compute, scale) })?;
        Ok(Self { raw, library: Rc::clone(library) })
    }

    /// Says of an operand whether it is transposed.
    fn set(&self, attribute: sys::cublasLtMatmulDescAttributes_t, transposed: bool) -> Result<(), Failure> {
        // A 32-bit enumeration of which 0 is `N` and 1 is `T`.
        let operation = i32::from(transposed);
        let bytes = size_of::<i32>();
        // SAFETY: the descriptor is live, and the library copies the value.
        check(unsafe {
            (self.library.functions.product_set)(self.raw, attribute, pointer(&operation), bytes)
        })
    }
}

impl Drop for Description {
    fn drop(&mut self) {
        // SAFETY: the descriptor is live, and this is its last use.
        let _ = unsafe { (self.library.functions.product_destroy)(self.raw) };
    }
}

impl Layout {
    /// Of `stack` matrices, one after the other.
    fn new(
        library: &Rc<Open>,
        stored: Stored,
        entry: sys::cudaDataType,
        stack: usize,
    ) -> Result<Self, Failure> {
        use sys::cublasLtMatrixLayoutAttribute_t as Attribute;
        let Stored { rows, cols, .. } = stored;
        let mut raw = ptr::null_mut();
        // SAFETY: the pointer is to a live layout.
        check(unsafe {
            (library.functions.layout_create)(&mut raw, entry, rows as u64, cols as u64, rows as i64)
        })?;
        let layout = Self { raw, library: Rc::clone(library) };
        if stack > 1 {
            // The widths of the two attributes are the library's: 32 and 64 bits.
            layout.set(Attribute::CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &(stack as i32))?;
            let distance = stored.entries() as i64;
            layout.set(Attribute::CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &distance)?;
        }
        Ok(layout)
    }

    fn set<T>(&self, attribute: sys::cublasLtMatrixLayoutAttribute_t, value: &T) -> Result<(), Failure> {
        let set = self.library.functions.layout_set;
        // SAFETY: the layout is live, and the library copies the value.
        check(unsafe { set(self.raw, attribute, pointer(value), size_of::<T>()) })
    }
}

impl Drop for Layout {
    fn drop(&mut self) {
        // SAFETY: the layout is live, and this is its last use.
        let _ = unsafe { (self.library.functions.layout_destroy)(self.raw) };
    }
}

/// Conditions on an algorithm.
struct Preference<'a> {
    raw: sys::cublasLtMatmulPreference_t,
    functions: &'a Functions,
}

impl<'a> Preference<'a> {
    fn new(library: &'a Open) -> Result<Self, Failure> {
        let mut raw = ptr::null_mut();
        // SAFETY: the pointer is to a live preference.
        check(unsafe { (library.functions.preference_create)(&mut raw) })?;
        Ok(Self { raw, functions: &library.functions })
    }

    fn set<T>(&self, attribute: sys::cublasLtMatmulPreferenceAttributes_t, value: &T) -> Result<(), Failure> {
        let set = self.functions.preference_set;
        // SAFETY: the preference is live, and the library copies the value.
        check(unsafe { set(self.raw, attribute, pointer(value), size_of::<T>()) })
    }
}

impl Drop for Preference<'_> {
    fn drop(&mut self) {
        // SAFETY: the preference is live, and this is its last use.
        let _ = unsafe { (self.functions.preference_destroy)(self.raw) };
    }
}

fn pointer<T>(value: &T) -> *const c_void {
    ptr::from_ref(value).cast()
}
