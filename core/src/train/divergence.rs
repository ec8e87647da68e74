//! Where a value that is not finite came from. Looked for once, when a run ends for it.

use super::error::{NonFinite, TrainError};
use crate::backend::{Backend, BackendError};
use crate::model::graphs::grad_name;
use crate::tensor::Tensor;

/// The first culprit: looks through all `parameters`, then all their gradients.
pub(super) async fn first_non_finite(
    backend: &mut dyn Backend,
    parameters: &[String],
) -> Result<NonFinite, TrainError> {
    let sources = parameters.iter().map(|name| (name.clone(), NonFinite::Parameter(name.clone())));
    let gradients = parameters.iter().map(|name| (grad_name(name), NonFinite::Gradient(name.clone())));
    for (state, source) in sources.chain(gradients) {
        match backend.read_state(&state).await {
            Ok(values) if !is_finite(&values) => return Ok(source),
            // Without a gradient of its own a parameter is not at fault.
            Ok(_) | Err(BackendError::UnknownState { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(NonFinite::Activation)
}

fn is_finite(values: &Tensor) -> bool {
    values.to_f64().iter().all(|x| x.is_finite())
}
