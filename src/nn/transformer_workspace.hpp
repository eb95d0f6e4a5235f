// What a transformer's call computes on. T = B * L rows.
#pragma once

#include "nn/transformer.hpp"

namespace headwise {

// Of one layer, until its backward pass.
struct Transformer::Saved {
  float* input;                // [T, E], the residual stream before the layer
  float* mid;                  // [T, E], the residual stream between attention and feed-forward
  float* normed;               // [T, E], the input of the feed-forward layer
  FeedForward::Hidden hidden;  // [T, F]
};

struct Transformer::Workspace {
  float* normed;           // [T, E], after a norm: the input of attention
  float* branch;           // [T, E], what is added to the residual stream
  float* logits;           // [T, V], then their gradient
  float* gradient;         // [T, E], of the residual stream
  float* dropped;          // [T, E], of a branch, through dropout
  float* branch_gradient;  // [T, E], of a norm's output
  float* active;           // [T, F], of the feed-forward layer's hidden values
};

}  // namespace headwise
