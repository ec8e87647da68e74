//! Which form a tensor may take: by its role, and by rules over names.

use golf_core::compress::Family;
use golf_core::compress::planner::{Choice, WIDTHS};
use golf_core::model::{Param, Role};
use golf_core::quant::Storage;
use regex::Regex;

/// A form for the tensors whose name matches.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pattern: Regex,
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Width(u32),
    Plain(Storage),
}

/// `REGEX=FORM`.
pub(super) fn rule(text: &str) -> Result<Rule, String> {
    let (pattern, form) = text.rsplit_once('=').ok_or("expected REGEX=FORM")?;
    let pattern = Regex::new(pattern).map_err(|error| error.to_string())?;
    let width = |form: &str| form.strip_prefix("int")?.parse().ok().filter(|w| WIDTHS.contains(w));
    let form = match form {
        "fp16" => Form::Plain(Storage::Fp16),
        "fp32" => Form::Plain(Storage::Fp32),
        form => Form::Width(width(form).ok_or_else(|| {
            format!("expected int{} to int{}, fp16 or fp32, got `{form}`", WIDTHS.start(), WIDTHS.end())
        })?),
    };
    Ok(Rule { pattern, form })
}

/// The choice of a parameter: the last rule that matches, otherwise any width of `family` for matrices of more than `plain`
/// elements and half precision for the rest.
pub(super) fn choice(param: &Param, family: Family, rules: &[Rule], plain: usize) -> Choice {
    let matrix = param.shape.len() == 2;
    match rules.iter().rev().find(|rule| rule.pattern.is_match(&param.name)) {
        Some(Rule { form: Form::Width(width), .. }) if matrix => Choice::Width(family, *width),
        Some(Rule { form: Form::Plain(storage), .. }) => Choice::Fixed(*storage),
        _ if matrix && param.role != Role::Control && param.numel() > plain => Choice::Free(family),
        _ => Choice::Fixed(Storage::Fp16),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, shape: &[usize], role: Role, rules: &[&str]) -> Choice {
        let param = Param { name: name.to_owned(), shape: shape.to_vec(), role };
        let rules: Vec<Rule> = rules.iter().map(|text| rule(text).expect("a rule")).collect();
        choice(&param, Family::Ratio, &rules, 4096)
    }

    #[test]
    fn the_last_matching_rule_decides_and_small_or_control_tensors_stay_half() {
        let big = [512, 512];
        let name = "blocks.3.mlp.fc.weight";
        assert_eq!(of(name, &big, Role::Matrix, &[]), Choice::Free(Family::Ratio));
        assert_eq!(of(name, &big, Role::Matrix, &["mlp=int5"]), Choice::Width(Family::Ratio, 5));
        let two = of(name, &big, Role::Matrix, &["mlp=int5", r"^blocks\.3\.=fp16"]);
        assert_eq!(two, Choice::Fixed(Storage::Fp16));
        assert_eq!(
            of("blocks.3.attn.proj.weight", &big, Role::Matrix, &["mlp=int5"]),
            Choice::Free(Family::Ratio)
        );
        assert_eq!(of("bigram.proj.weight", &[64, 64], Role::Projection, &[]), Choice::Fixed(Storage::Fp16));
        assert_eq!(of("blocks.0.resid_mix", &[2, 4096], Role::Control, &[]), Choice::Fixed(Storage::Fp16));
        assert_eq!(of("q_gain", &[8], Role::Control, &["q=int8"]), Choice::Fixed(Storage::Fp16));
    }

    #[test]
    fn mistakes_in_rules_are_named() {
        assert!(rule("mlp").expect_err("no form").contains("REGEX=FORM"));
        assert!(rule("mlp=int9").expect_err("no such width").contains("int3 to int8"));
        assert!(rule("(=int5").is_err());
    }
}
