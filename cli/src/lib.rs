//! Command-line front end (under construction).
