// Shared part: f32 results that are correctly rounded on every driver, in integer arithmetic. WGSL allows a division
// 2.5 units in the last place of error, and an fma that rounds twice; a quantizer's integers must not depend on that.
// A normal f32 of biased exponent e and mantissa m (hidden bit included) is m·2^(e-150). After wide.wgsl.

fn exponent_of(x: f32) -> i32 {
    return i32((bitcast<u32>(x) >> 23u) & 0xffu);
}

fn mantissa_of(x: f32) -> u32 {
    return (bitcast<u32>(x) & 0x7fffffu) | 0x800000u;
}

// mantissa·2^(e-150) for a mantissa in [2²³, 2²⁴]; the last carries into the exponent.
fn float_of(mantissa: u32, e: i32) -> f32 {
    return bitcast<f32>((u32(e - 1) << 23u) + mantissa);
}

// x/c rounded to nearest, for x ≥ 0 and an integer 0 < c < 2²³; 0 for x below 2⁻⁹⁶. One digit at a time: for few values.
fn exact_quotient(x: f32, c: u32) -> f32 {
    var e = exponent_of(x);
    if e < 31 {
        return 0.0;
    }
    var quotient = mantissa_of(x) / c;
    var rest = mantissa_of(x) % c;
    // 24 digits, and one to round by.
    while quotient < 0x1000000u {
        rest *= 2u;
        let digit = u32(rest >= c);
        rest -= digit * c;
        quotient = 2u * quotient + digit;
        e -= 1;
    }
    let half_up = quotient & 1u;
    let even = (quotient >> 1u) & 1u;
    return float_of((quotient >> 1u) + (half_up & (even | u32(rest != 0u))), e + 1);
}

// factor·gap + start rounded once, for gap ≥ 0, start ≥ 0, |factor| ≤ ½, and gap ≤ start where factor < 0. Numbers of
// no use as a quantizer's step, below 2⁻¹²⁰, may come out wrong.
fn exact_fma(factor: f32, gap: f32, start: f32) -> f32 {
    if factor == 0.0 || gap == 0.0 {
        return start;
    }
    if start == 0.0 {
        return factor * gap;
    }
    // Both terms as 64-bit integers with the leading bit at 60 or 61, times 2^e.
    let p = wide_product(mantissa_of(factor), mantissa_of(gap));
    var term = vec2<u32>(p.x << 14u, (p.y << 14u) | (p.x >> 18u));
    let term_e = exponent_of(factor) + exponent_of(gap) - 314;
    var sum = vec2<u32>(0u, mantissa_of(start) << 6u);
    let start_e = exponent_of(start) - 188;
    let e = max(term_e, start_e);
    term = shifted(term, e - term_e);
    sum = shifted(sum, e - start_e);
    if factor > 0.0 {
        let low = sum.x + term.x;
        sum = vec2<u32>(low, sum.y + term.y + u32(low < term.x));
    } else {
        sum = vec2<u32>(sum.x - term.x, sum.y - term.y - u32(sum.x < term.x));
    }
    // The high word holds the 24 digits and at least five more.
    let drop = firstLeadingBit(sum.y) - 23u;
    let mantissa = sum.y >> drop;
    let rest = sum.y & ((1u << drop) - 1u);
    let half = 1u << (drop - 1u);
    let up = rest > half || (rest == half && (sum.x != 0u || mantissa % 2u == 1u));
    return float_of(mantissa + u32(up), e + 32 + i32(drop) + 150);
}

// v·2^-places, the last bit telling whether anything was lost.
fn shifted(v: vec2<u32>, places: i32) -> vec2<u32> {
    var r = v;
    for (var i = min(places, 64); i > 0; i -= 1) {
        r = vec2<u32>((r.x >> 1u) | (r.y << 31u) | (r.x & 1u), r.y >> 1u);
    }
    return r;
}
