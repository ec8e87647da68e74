// Shared part: tokens are windows of `seq`, one after the other.

fn place_of(token: u32) -> u32 {
    return token % params.seq;
}
