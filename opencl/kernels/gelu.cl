/* gelu.cl: GELU (arXiv 1606.08415) and its slope for one number, both for the op GELU and for products that end in it.
   The two must give the same bits, so the compiler may not contract anything here into fused operations. */
#pragma OPENCL FP_CONTRACT OFF

#define INV_SQRT_2PI 0.39894228040143268f   /* 1 / sqrt(2 pi) */
#define SQRT_2_OVER_PI 0.79788456080286536f /* sqrt(2 / pi) */
#define GELU_CUBIC 0.044715f

/* Phi(-|v|), the normal distribution's tail, and bell = exp(-v^2 / 2): Phi(-|v|) = bell * P(1 / (1 + 0.3 |v|)) with P of
   degree 8 fitted to a relative error of 1.5e-7 for |v| < 14 (beyond it bell is 0). The digits far left stay, which
   1 + erf would lose; OpenCL's erfc keeps them too, but is a call on some CPUs, twenty times slower. */
static inline float normal_tail(float v, float *bell) {
    float t = 1.0f / (1.0f + 0.3f * fabs(v));
    float p = 0.0356749467f;
    p = p * t - 0.157203761f;
    p = p * t + 0.206354598f;
    p = p * t - 0.0536845741f;
    p = p * t + 0.128562077f;
    p = p * t + 0.0999133681f;
    p = p * t + 0.120753974f;
    p = p * t + 0.119629298f;
    *bell = exp(-0.5f * v * v);
    return *bell * p * t;
}

/* (1 + tanh(u)) / 2 of GELU's tanh form, as a logistic function of 2 u: it keeps the digits far left. */
static inline float tanh_gate(float v) {
    return 1.0f / (1.0f + exp(-2.0f * SQRT_2_OVER_PI * (v + GELU_CUBIC * v * v * v)));
}

/* v * Phi(v), or its tanh form. */
static inline float gelu_of(float v, int tanh_form) {
    float bell;
    if (tanh_form) return v * tanh_gate(v);
    float tail = normal_tail(v, &bell);
    return v * (v < 0.0f ? tail : 1.0f - tail);
}

static inline float gelu_slope(float v, int tanh_form) {
    float bell;
    if (tanh_form) {
        float gate = tanh_gate(v), du = SQRT_2_OVER_PI * (1.0f + 3.0f * GELU_CUBIC * v * v);
        return gate + 2.0f * v * gate * (1.0f - gate) * du;
    }
    float tail = normal_tail(v, &bell);
    return (v < 0.0f ? tail : 1.0f - tail) + v * INV_SQRT_2PI * bell;
}
#pragma OPENCL FP_CONTRACT ON
