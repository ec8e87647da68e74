//! How the ranks of a run agree: what rank 0 decides, what any rank asks for, that they run the same thing at all.

use super::error::TrainError;
use super::finish::Origin;
use crate::collective::{Call, Collective, CollectiveError};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Rank 0's `value`, on every rank. A rank may come much earlier than rank 0, which may be busy with a file.
pub(super) fn from_first<T: Serialize + DeserializeOwned>(
    collective: &mut dyn Collective,
    name: &str,
    value: T,
) -> Result<T, TrainError> {
    if collective.size() == 1 {
        return Ok(value);
    }
    let first = collective.rank() == 0;
    let message = if first { encode(&value) } else { Vec::new() };
    let messages = collective.gather(Call::unlimited(name), message)?;
    if first { Ok(value) } else { decode(name, 0, &messages[0]) }
}

/// Whether any rank says `flag`.
pub(super) fn any(collective: &mut dyn Collective, name: &str, flag: bool) -> Result<bool, TrainError> {
    if collective.size() == 1 {
        return Ok(flag);
    }
    let messages = collective.gather(Call::step(name), vec![u8::from(flag)])?;
    Ok(messages.iter().any(|message| message.as_slice() == [1]))
}

/// Refuses ranks with other settings, shards or programs.
pub(super) fn check_equal(collective: &mut dyn Collective, origin: &Origin) -> Result<(), TrainError> {
    if collective.size() == 1 {
        return Ok(());
    }
    let own = [
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("configuration", origin.config_hash.clone()),
        ("training data", origin.data.clone()),
    ];
    let values: Vec<&String> = own.iter().map(|(_, value)| value).collect();
    // Opening and checking shards takes longer on some machines than on others.
    let name = "the start";
    let messages = collective.gather(Call::unlimited(name), encode(&values))?;
    for (rank, message) in messages.iter().enumerate() {
        let theirs: Vec<String> = decode(name, rank, message)?;
        for ((what, expected), got) in own.iter().zip(theirs) {
            if *expected != got {
                return Err(TrainError::Unlike { rank, what, expected: expected.clone(), got });
            }
        }
    }
    Ok(())
}

/// Tells the other ranks that this one ends with `error`, and who is to blame.
pub(super) fn abort(collective: &mut dyn Collective, error: &TrainError) {
    let told = match error {
        // What a rank was told it passes on as it was.
        TrainError::Collective(CollectiveError::Failed { rank, reason }) => Some((*rank, reason.clone())),
        TrainError::Collective(error) => error.culprit().map(|rank| (rank, error.to_string())),
        _ => None,
    };
    let (culprit, reason) = told.unwrap_or_else(|| (collective.rank(), error.to_string()));
    collective.abort(culprit, &reason);
}

fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("decisions are plain numbers and strings")
}

fn decode<T: DeserializeOwned>(name: &str, rank: usize, message: &[u8]) -> Result<T, TrainError> {
    serde_json::from_slice(message).map_err(|error| {
        let reason = format!("it sent what cannot be read to `{name}`: {error}");
        CollectiveError::Failed { rank, reason }.into()
    })
}
