//! The plans that a training run holds side by side, and the memory that they take on a GPU: known without one.

use crate::config::Config;
use crate::device::{Device, cuda_precision};
use golf_core::compress::Method;
use golf_core::compress::calibrate::window_of;
use golf_core::graph::Graph;
use golf_core::model::calibration::{Depth, calibration_graph};
use golf_core::model::gpt::Window;
use golf_core::model::graphs::{gradient_graph, score_graph};
use golf_core::model::parameters;
use golf_core::ops::OpError;
use golf_core::optim::average_graph;
use golf_core::plan::{Plan, PlanOptions};
use golf_core::train::groups::{fake_quantized, optimizer};
use golf_core::train::recipe::{Precision, Qat};
use golf_wgpu::Capabilities;
use std::collections::BTreeMap;

/// How the plans begin of which a run holds one at a time.
const GRADIENT: &str = "gradient";

/// Bytes of a run on one GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// Weights, gradients, moments and averages.
    pub states: u64,
    /// What every plan takes besides.
    pub plans: Vec<(&'static str, u64)>,
}

impl Footprint {
    /// Of `config` with micro-batches of `rows` windows.
    ///
    /// # Errors
    /// A model that cannot be built.
    pub fn of(config: &Config, rows: usize, device: Device) -> Result<Footprint, OpError> {
        let (mut states, mut plans) = (BTreeMap::new(), Vec::new());
        for (name, graph) in graphs(config, rows)? {
            let plan = Plan::new(name, &graph, PlanOptions::default());
            plans.push((name, own_bytes(&plan, device, config.recipe.precision)));
            states.extend(plan.states.iter().map(|port| (port.name.clone(), port.operand.ty.bytes() as u64)));
        }
        Ok(Footprint { states: states.values().sum(), plans })
    }

    /// The most that is there at once: of the gradients' plans one, of the others all.
    pub fn peak(&self) -> u64 {
        let (gradients, others): (Vec<_>, Vec<_>) =
            self.plans.iter().partition(|(name, _)| name.starts_with(GRADIENT));
        let most = gradients.iter().map(|(_, bytes)| *bytes).max().unwrap_or(0);
        self.states + most + others.iter().map(|(_, bytes)| *bytes).sum::<u64>()
    }
}

/// Everything that a run compiles.
fn graphs(config: &Config, rows: usize) -> Result<Vec<(&'static str, Graph)>, OpError> {
    let Config { model, recipe, .. } = config;
    let window = Window { rows, seq: recipe.train_seq_len };
    let shapes: BTreeMap<_, _> = parameters(model).into_iter().map(|p| (p.name, p.shape)).collect();
    let optimizer = optimizer(model, recipe);
    let gradient = |weights| gradient_graph(model, &weights, window, &optimizer.parameters());
    let mut graphs = vec![
        (GRADIENT, gradient(Default::default())?),
        ("validation", score_graph(model, &Default::default(), window)?),
        ("update", optimizer.update_graph(&shapes)?),
    ];
    if recipe.qat != Qat::Never {
        graphs.push(("gradient, fake quantized", gradient(fake_quantized(model, recipe))?));
    }
    if recipe.method != Method::Nearest {
        let window = window_of(recipe.calibration_rows, recipe.train_seq_len);
        graphs.push(("calibration", calibration_graph(model, window, Depth::Inputs)?.graph));
    }
    if recipe.ema_enabled || recipe.swa_enabled {
        graphs.push(("average", average_graph(&shapes)?));
    }
    Ok(graphs)
}

/// What `plan` takes besides states.
fn own_bytes(plan: &Plan, device: Device, precision: Precision) -> u64 {
    if let Device::Cuda(_) = device {
        let footprint = golf_cuda::Footprint::of(plan, cuda_precision(precision));
        footprint.total() - footprint.states
    } else {
        let footprint = golf_wgpu::Footprint::of(plan, Capabilities::default());
        footprint.total() - footprint.states
    }
}
