//! Which products a library forms: asked of the device once per shape, and believed only after a comparison with our own
//! kernel on the device itself.
//!
//! Invariant: the choice depends on device, library and shape alone, so two runs form every product alike.

use crate::driver::Driver;
use crate::gemm::{Gemm, Onto};
use crate::kernels::{self, DIFFERENCES};
use crate::lower::{Binding, Launch, Precision, Products};
use crate::pending::{Options, Pending};
use golf_core::backend::BackendError;
use golf_core::plan::Plan;
use std::collections::{HashMap, HashSet};
use thiserror::Error;

/// Why a library does not form a product. Our own kernel does it instead.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum ProductError {
    /// There is no library.
    #[error(
        "cuBLASLt (`libcublasLt`) is not used: {reason}\nhint: install the CUDA toolkit or the PyPI package `nvidia-cublas`, and name the library's folder in `GOLF_NVRTC`"
    )]
    Missing {
        /// What was tried.
        reason: String,
    },
    /// The library takes no such product.
    #[error("cuBLASLt does not take the product `{gemm}`: {reason}")]
    Refused {
        /// The product.
        gemm: Gemm,
        /// What the library said.
        reason: String,
    },
    /// The library's result is not ours.
    #[error("cuBLASLt's product `{gemm}` is off by {error:e}: expected at most {bound:e}")]
    Wrong {
        /// The product.
        gemm: Gemm,
        /// Largest difference from our own.
        error: f32,
        /// Largest one allowed.
        bound: f32,
    },
}

/// What was chosen so far, for all plans of a device.
pub(crate) struct Chosen<P> {
    by_gemm: HashMap<Gemm, Result<P, ProductError>>,
    products: Products,
}

impl<P> Default for Chosen<P> {
    fn default() -> Self {
        Self { by_gemm: HashMap::new(), products: Products::Own }
    }
}

impl<P: Clone> Chosen<P> {
    /// Chooses for every product of `plan` that has not been seen yet; the reasons of new refusals, each once.
    pub fn extend<D: Driver<Product = P>>(
        &mut self,
        driver: &mut D,
        plan: &Plan,
        options: Options,
    ) -> Result<Vec<ProductError>, BackendError> {
        if options.precision == Precision::F32 {
            return Ok(Vec::new());
        }
        let mut news = Vec::new();
        for (gemm, _) in library_products(plan) {
            if self.by_gemm.contains_key(&gemm) {
                continue;
            }
            let choice = match driver.products(&gemm) {
                Ok(products) => first_that_agrees(driver, &gemm, products)?,
                Err(reason) => Err(reason),
            };
            if let Err(reason) = &choice {
                let told = |known: &Result<P, ProductError>| known.as_ref().err() == Some(reason);
                if !self.by_gemm.values().any(told) {
                    news.push(reason.clone());
                }
            }
            self.by_gemm.insert(gemm, choice);
        }
        let refused = self.by_gemm.iter().filter(|(_, choice)| choice.is_err()).map(|(gemm, _)| *gemm);
        self.products = Products::Library { refused: refused.collect() };
        Ok(news)
    }

    /// Who forms what.
    pub fn products(&self) -> &Products {
        &self.products
    }

    /// The library's way to form `gemm`, which [`Chosen::products`] says that it takes.
    pub fn product(&self, gemm: &Gemm) -> P {
        match self.by_gemm.get(gemm) {
            Some(Ok(product)) => product.clone(),
            _ => unreachable!("a plan's products are chosen before it is lowered"),
        }
    }
}

/// The products of `plan` that a library could form in bf16, in order of their first use, and how often each is.
pub fn library_products(plan: &Plan) -> Vec<(Gemm, usize)> {
    let all = Products::Library { refused: HashSet::new() };
    let pending = Pending::of(plan, Options { precision: Precision::Bf16, ..Options::default() }, &all);
    let mut counted: Vec<(Gemm, usize)> = Vec::new();
    for gemm in pending.launches.iter().filter_map(|placed| placed.launch.gemm) {
        match counted.iter_mut().find(|(known, _)| *known == gemm) {
            Some((_, count)) => *count += 1,
            None => counted.push((gemm, 1)),
        }
    }
    counted
}

/// The first of a library's ways to form `gemm` that runs and agrees with our own kernel; what was wrong with its favourite,
/// if none does. A library may name an algorithm that it then refuses, such as one that takes no sum from elsewhere.
fn first_that_agrees<D: Driver>(
    driver: &mut D,
    gemm: &Gemm,
    products: Vec<D::Product>,
) -> Result<Result<D::Product, ProductError>, BackendError> {
    let mut refusal = None;
    for product in products {
        match checked(driver, gemm, product)? {
            Ok(product) => return Ok(Ok(product)),
            Err(reason) => refusal = refusal.or(Some(reason)),
        }
    }
    let none = || ProductError::Refused { gemm: *gemm, reason: "it named no algorithm".to_owned() };
    Ok(Err(refusal.unwrap_or_else(none)))
}

/// Largest difference allowed for sums of `depth` products of numbers in [-1, 1): a fiftieth of what such sums typically are,
/// √depth / 3. Orders of addition differ by far less; a wrong matrix differs by more than all of it. A result in bf16 is off by
/// another 2⁻⁸ of itself, and the largest of millions of such sums is some six times what they typically are.
fn bound(gemm: &Gemm) -> f32 {
    let [_, _, depth] = gemm.extents;
    let typical = (depth as f32).sqrt() / 3.0;
    typical / 50.0 + if gemm.half { 6.0 * typical / 256.0 } else { 0.0 }
}

/// `product`, where the device forms it as our own kernel does.
fn checked<D: Driver>(
    driver: &mut D,
    gemm: &Gemm,
    product: D::Product,
) -> Result<Result<D::Product, ProductError>, BackendError> {
    if !driver.is_checked() {
        return Ok(Ok(product));
    }
    let (error, bound) = match difference(driver, gemm, &product) {
        Ok(error) => (error, bound(gemm)),
        // The comparison takes more memory than the plan; without one there is no belief.
        Err(BackendError::OutOfMemory { what, .. }) => {
            let reason = format!("no memory to compare it with our own: {what}");
            return Ok(Err(ProductError::Refused { gemm: *gemm, reason }));
        }
        // A library may refuse a call although it named an algorithm for it; a lost device is another error.
        Err(BackendError::Driver { message: reason, .. }) => {
            return Ok(Err(ProductError::Refused { gemm: *gemm, reason }));
        }
        Err(error) => return Err(error),
    };
    Ok(if error <= bound { Ok(product) } else { Err(ProductError::Wrong { gemm: *gemm, error, bound }) })
}

/// Largest difference between the library's product and our own.
fn difference<D: Driver>(driver: &mut D, gemm: &Gemm, product: &D::Product) -> Result<f32, BackendError> {
    let entries = gemm.entries();
    let what = format!("comparing the product `{gemm}`");
    let mut buffers = Vec::new();
    let [n_a, n_b, n_y] = entries;
    let [r_a, r_b, r_y] = entries.map(kernels::rounded_words);
    let elsewhere = gemm.onto == Onto::Other;
    let [n_onto, r_onto] = if elsewhere { [n_y, r_y] } else { [1, 1] };
    for words in [n_a, n_b, n_y, n_y, r_a, r_b, DIFFERENCES, r_y, n_onto, r_onto] {
        buffers.push(driver.allocate(words, &what)?);
    }
    // Bindings are positions in `buffers` here.
    let at = Binding::Scratch;
    let [a, b, own, other, a_rounded, b_rounded, parts, half, onto, onto_half] = std::array::from_fn(at);
    // Both results hold the same before, for sums; a matrix elsewhere holds something else, so that it shows which one is read.
    let before = [(&a, n_a, 1), (&b, n_b, 2), (&own, n_y, 3), (&other, n_y, 3), (&onto, n_onto, 4)];
    let mut launches: Vec<Launch> =
        before.into_iter().map(|(y, n, seed)| kernels::noise(y.clone(), n, seed)).collect();
    launches.push(kernels::round(a.clone(), n_a, 0, a_rounded));
    launches.push(kernels::round(b.clone(), n_b, 0, b_rounded));
    if gemm.half {
        launches.push(kernels::round(other.clone(), n_y, 0, half.clone()));
        launches.push(kernels::round(onto.clone(), n_onto, 0, onto_half));
    }
    launches.push(kernels::own_product(gemm, [a, b, onto, own.clone()]));
    for launch in &launches {
        run(driver, launch, &buffers)?;
    }
    let [result, apart] = if gemm.half { [7, 9] } else { [3, 8] };
    let onto = if elsewhere { apart } else { result };
    let bound = [4, 5, onto, result].map(|i| &buffers[i]);
    driver.multiply(product, bound, 0)?;
    if gemm.half {
        run(driver, &kernels::widen(half, other.clone(), n_y), &buffers)?;
    }
    run(driver, &kernels::largest_difference([own, other, parts], n_y), &buffers)?;
    let parts = driver.read(&buffers[6], DIFFERENCES)?;
    Ok(parts.into_iter().map(f32::from_bits).fold(0.0, f32::max))
}

/// Runs one launch whose bindings are positions in `buffers`.
fn run<D: Driver>(driver: &mut D, launch: &Launch, buffers: &[D::Buffer]) -> Result<(), BackendError> {
    let function = driver.function(launch.kernel, launch.storage)?;
    let of = |binding: &Binding| match binding {
        Binding::Scratch(i) => buffers[*i].clone(),
        _ => unreachable!("a comparison binds its own buffers"),
    };
    let bound: Vec<D::Buffer> = launch.bindings.iter().map(of).collect();
    driver.launch(&function, launch.kernel, launch.blocks, &bound, &launch.params)
}
