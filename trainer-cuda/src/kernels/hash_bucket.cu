// hash_bucket: (tokens i32[n]) → buckets i32[n], in windows of seq tokens: (m₀·x ∘ m₁·p₁ ∘ m₂·p₂) mod modulus of a token
// and its predecessors, ∘ = xor or +, products modulo 2⁶⁴. hash_bucket_at: (tokens i32[n], before i32[2], position i32[1]):
// tokens that stand at `position` of their window, behind the two tokens `before`. One thread per token.

#include "shared/vector.cuh"

// Scalars of both; the host passes them as so many words.
struct Hash {
    u32 n;
    u32 seq;
    u32 back;     // predecessors that the hash looks at
    u32 adds;     // 1: ∘ is +, and a missing predecessor is token 0; 0: ∘ is xor, and it gives the bucket `modulus`
    u32 modulus;
    u32 multipliers[3][2];  // low word, high word
    static constexpr const char* LETTERS = "uuuuuuuuuuu";
};

__device__ inline u64 product(const Hash& p, u32 i, u32 token) {
    return (((u64)p.multipliers[i][1] << 32) | p.multipliers[i][0]) * token;
}

__device__ inline u64 join(const Hash& p, u64 a, u64 b) { return p.adds ? a + b : a ^ b; }

// Bucket of token `x` that `before` predecessors of its window come before; p1 and p2 are read where they exist.
__device__ inline u32 bucket_of(const Hash& p, u32 before, u32 x, u32 p1, u32 p2) {
    if (before < p.back && !p.adds) return p.modulus;
    u64 hash = product(p, 0, x);
    if (before >= 1) hash = join(p, hash, product(p, 1, p1));
    if (p.back == 2 && before >= 2) hash = join(p, hash, product(p, 2, p2));
    return (u32)(hash % p.modulus);
}

extern "C" __global__ void __launch_bounds__(256) hash_bucket(const u32* tokens, u32* buckets, Hash p) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= p.n) return;
    // Indices before the first token are not of its window; any token may stand for them.
    buckets[i] = bucket_of(p, i % p.seq, tokens[i], tokens[max(i, 1u) - 1], tokens[max(i, 2u) - 2]);
}

// before: oldest first
extern "C" __global__ void __launch_bounds__(256)
hash_bucket_at(const u32* tokens, const u32* before, const u32* position, u32* buckets, Hash p) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= p.n) return;
    const u32 p1 = i >= 1 ? tokens[i - 1] : before[1];
    const u32 p2 = i >= 2 ? tokens[i - 2] : before[i];
    buckets[i] = bucket_of(p, *position + i, tokens[i], p1, p2);
}
