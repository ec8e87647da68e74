//! `golf first-run`: from nothing to a scored, adapted, talking model in about three minutes.

pub mod corpus;
