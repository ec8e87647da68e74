//! Products by NVIDIA's library, which is found at run time: descriptors and an algorithm, chosen once per shape.
//!
//! Invariant: a product is deterministic. The algorithm is the library's first for this shape and device, its workspace is
//! fixed, and reductions in place, which add in the order of arrival, are not allowed.

#![allow(unsafe_code)]

use crate::footprint::WORKSPACE;
use crate::gemm::{Columns, Gemm, Onto, Stored};
use crate::library::{preload, searched};
use crate::products::ProductError;
use cudarc::cublaslt::result::{self, CublasError};
use cudarc::cublaslt::sys;
use std::ffi::c_void;
use std::rc::Rc;

/// The loaded library and its handle.
pub(crate) struct CublasLt {
    handle: sys::cublasLtHandle_t,
}

/// A product ready to be formed.
#[derive(Clone)]
pub struct Product(Rc<Prepared>);

impl Product {
    /// Bytes of an entry of the result.
    pub fn result_bytes(&self) -> usize {
        self.0.result_bytes
    }
}

struct Prepared {
    product: sys::cublasLtMatmulDesc_t,
    left: Layout,
    right: Layout,
    result: Layout,
    algorithm: sys::cublasLtMatmulAlgo_t,
    /// How often what it is added to is in the result.
    beta: f32,
    /// Of an entry of the result.
    result_bytes: usize,
}

/// Layout of a matrix.
struct Layout(sys::cublasLtMatrixLayout_t);

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
    load()?;
    // SAFETY: the library is present; the function takes nothing.
    let version = unsafe { sys::cublasLtGetVersion() } as i32;
    // 130001 is 13.0.1; before version 12 there was a digit less.
    Ok(if version >= 100_000 {
        (version / 10_000, version / 100 % 100)
    } else {
        (version / 1000, version / 100 % 10)
    })
}

fn load() -> Result<(), ProductError> {
    preload("libcublasLt.so").map_err(|unloadable| ProductError::Missing {
        reason: format!("`{}` cannot be loaded: {}", unloadable.path.display(), unloadable.reason),
    })?;
    // SAFETY: loading looks for a library and runs its initializers; NVIDIA's have no preconditions.
    if unsafe { sys::is_culib_present() } {
        Ok(())
    } else {
        Err(ProductError::Missing { reason: format!("it was not found in {}", searched()) })
    }
}

impl CublasLt {
    /// Loads the library for the context that is bound to this thread.
    pub fn load() -> Result<Self, ProductError> {
        load()?;
        let handle = result::create_handle();
        let handle = handle.map_err(|error| ProductError::Missing { reason: error.to_string() })?;
        Ok(Self { handle })
    }

    /// Descriptors and the algorithm of `gemm`.
    pub fn prepare(&self, gemm: &Gemm) -> Result<Product, ProductError> {
        let refused = |error: CublasError| ProductError::Refused { gemm: *gemm, reason: error.to_string() };
        self.prepared(gemm).map(|prepared| Product(Rc::new(prepared))).map_err(refused)
    }

    fn prepared(&self, gemm: &Gemm) -> Result<Prepared, CublasError> {
        use sys::cudaDataType_t::{CUDA_R_16BF, CUDA_R_32F};
        let Columns { left, right, result: d } = gemm.columns();
        let compute = sys::cublasComputeType_t::CUBLAS_COMPUTE_32F;
        let mut prepared = Prepared {
            product: result::create_matmul_desc(compute, CUDA_R_32F)?,
            left: Layout(std::ptr::null_mut()),
            right: Layout(std::ptr::null_mut()),
            result: Layout(std::ptr::null_mut()),
            algorithm: sys::cublasLtMatmulAlgo_t { data: [0; 8] },
            beta: f32::from(u8::from(gemm.onto != Onto::Nothing)),
            result_bytes: gemm.result_bytes(),
        };
        prepared.left = Layout::new(left, CUDA_R_16BF, gemm.stack)?;
        prepared.right = Layout::new(right, CUDA_R_16BF, gemm.stack)?;
        let entry = if gemm.half { CUDA_R_16BF } else { CUDA_R_32F };
        prepared.result = Layout::new(d, entry, gemm.stack)?;
        use sys::cublasLtMatmulDescAttributes_t as Attribute;
        let transposed = [
            (Attribute::CUBLASLT_MATMUL_DESC_TRANSA, left.transposed),
            (Attribute::CUBLASLT_MATMUL_DESC_TRANSB, right.transposed),
        ];
        for (attribute, transposed) in transposed {
            let operation = i32::from(transposed);
            // SAFETY: the descriptor is live; the attribute is a 32-bit enumeration of which 0 is `N` and 1 is `T`.
            unsafe {
                result::set_matmul_desc_attribute(
                    prepared.product,
                    attribute,
                    pointer(&operation),
                    size_of::<i32>(),
                )
            }?;
        }
        prepared.algorithm = self.algorithm(&prepared, gemm)?;
        Ok(prepared)
    }

    /// The library's first choice under our conditions.
    fn algorithm(&self, prepared: &Prepared, gemm: &Gemm) -> Result<sys::cublasLtMatmulAlgo_t, CublasError> {
        use sys::cublasLtMatmulPreferenceAttributes_t as Attribute;
        let preference = Preference(result::create_matmul_pref()?);
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
        // SAFETY: handle and descriptors are live.
        let found = unsafe {
            result::get_matmul_algo_heuristic(
                self.handle,
                prepared.product,
                prepared.left.0,
                prepared.right.0,
                prepared.result.0,
                prepared.result.0,
                preference.0,
            )
        }?;
        Ok(found.algo)
    }

    /// Queues `product` on `stream`.
    ///
    /// # Safety
    ///
    /// The stream is live, and the addresses are of buffers with the entries of the product, of [`WORKSPACE`] bytes for the
    /// workspace, in the context that the library was loaded for.
    pub unsafe fn multiply(
        &self,
        Product(product): &Product,
        at: &Addresses,
        stream: cudarc::driver::sys::CUstream,
    ) -> Result<(), CublasError> {
        let alpha = 1.0f32;
        // SAFETY: as above; alpha and beta are read before the call returns.
        unsafe {
            result::matmul(
                self.handle,
                product.product,
                pointer(&alpha),
                pointer(&product.beta),
                at.left as *const c_void,
                product.left.0,
                at.right as *const c_void,
                product.right.0,
                at.onto as *const c_void,
                product.result.0,
                at.result as *mut c_void,
                product.result.0,
                &product.algorithm,
                at.workspace as *mut c_void,
                WORKSPACE,
                stream.cast(),
            )
        }
    }
}

impl Drop for CublasLt {
    fn drop(&mut self) {
        // SAFETY: the handle is live, and this is its last use. There is nobody to tell of a failure.
        let _ = unsafe { result::destroy_handle(self.handle) };
    }
}

impl Layout {
    /// Of `stack` matrices, one after the other.
    fn new(stored: Stored, entry: sys::cudaDataType, stack: usize) -> Result<Self, CublasError> {
        use sys::cublasLtMatrixLayoutAttribute_t as Attribute;
        let Stored { rows, cols, .. } = stored;
        let layout = Self(result::create_matrix_layout(entry, rows as u64, cols as u64, rows as i64)?);
        if stack > 1 {
            // The widths of the two attributes are the library's: 32 and 64 bits.
            layout.set(Attribute::CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &(stack as i32))?;
            let distance = stored.entries() as i64;
            layout.set(Attribute::CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &distance)?;
        }
        Ok(layout)
    }

    fn set<T>(&self, attribute: sys::cublasLtMatrixLayoutAttribute_t, value: &T) -> Result<(), CublasError> {
        // SAFETY: the layout is live, and the library copies the value.
        unsafe { result::set_matrix_layout_attribute(self.0, attribute, pointer(value), size_of::<T>()) }
    }
}

impl Drop for Layout {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: the layout is live, and this is its last use.
            let _ = unsafe { result::destroy_matrix_layout(self.0) };
        }
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        // SAFETY: the descriptor is live, and this is its last use.
        let _ = unsafe { result::destroy_matmul_desc(self.product) };
    }
}

/// Conditions on an algorithm.
struct Preference(sys::cublasLtMatmulPreference_t);

impl Preference {
    fn set<T>(
        &self,
        attribute: sys::cublasLtMatmulPreferenceAttributes_t,
        value: &T,
    ) -> Result<(), CublasError> {
        // SAFETY: the preference is live, and the library copies the value.
        unsafe { result::set_matmul_pref_attribute(self.0, attribute, pointer(value), size_of::<T>()) }
    }
}

impl Drop for Preference {
    fn drop(&mut self) {
        // SAFETY: the preference is live, and this is its last use.
        let _ = unsafe { result::destroy_matmul_pref(self.0) };
    }
}

fn pointer<T>(value: &T) -> *const c_void {
    std::ptr::from_ref(value).cast()
}
