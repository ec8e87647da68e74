// Shared part: tokens follow each other from a run-time position on.

@group(0) @binding(5) var<storage, read> position: array<u32>;  // [1]

fn place_of(token: u32) -> u32 {
    return position[0] + token;
}
