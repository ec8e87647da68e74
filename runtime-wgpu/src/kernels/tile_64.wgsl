// Shared part: the small tile, 64 × 64 results of a product, 4 × 4 to an invocation: for short or narrow products.

const SPAN: u32 = 1u;
