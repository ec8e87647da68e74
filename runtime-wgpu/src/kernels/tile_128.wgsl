// Shared part: the large tile, 128 × 128 results of a product, 8 × 8 to an invocation: twice the arithmetic for every
// word read from workgroup memory, which is what bounds the small tile.

const SPAN: u32 = 2u;
