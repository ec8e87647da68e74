//! Goldens that belong to no model.
use super::fixture::Fixture;
use super::report::CaseReport;
use crate::device::Device;
use std::path::Path;

pub fn is_piece_list(_path: &Path) -> bool { true }
pub fn replay(_fixture: &Fixture, _folder: &Path, _device: Device, _report: &mut CaseReport) {}
