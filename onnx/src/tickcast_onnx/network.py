"""The patch transformer, from raw feature rows to probabilities. Everything a served model does is inside this graph."""

import torch
from torch import nn

from . import scaler
from .settings import Shape

CLASSES = 3


class Block(nn.Module):
    """Pre-norm attention and feed-forward. Attention is written out: it exports to plain MatMul and Softmax."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.heads = shape.heads
        self.norm_attention = nn.LayerNorm(shape.width)
        self.mix = nn.Linear(shape.width, 3 * shape.width)
        self.out = nn.Linear(shape.width, shape.width)
        self.norm_feed = nn.LayerNorm(shape.width)
        self.feed = nn.Sequential(nn.Linear(shape.width, shape.hidden), nn.GELU(), nn.Linear(shape.hidden, shape.width))
        self.dropout = nn.Dropout(shape.dropout)

    def forward(self, x):
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.mix(self.norm_attention(x)).chunk(3, dim=-1)
        )
        weight = (query @ key.transpose(-2, -1) * query.shape[-1] ** -0.5).softmax(dim=-1)
        x = x + self.dropout(self.out((weight @ value).transpose(1, 2).flatten(2)))
        return x + self.dropout(self.feed(self.norm_feed(x)))


class PatchTransformer(nn.Module):
    """`features` f32 [batch, sequence, feature], raw -> `probabilities` f32 [batch, horizon, 3] = down, flat, up.

    A patch is a few bars of all features together, so that indicators meet in the first layer. The head reads the newest
    patch and the mean of all.
    """

    def __init__(self, shape: Shape, mean=None, deviation=None):
        super().__init__()
        self.shape = shape
        self.register_buffer("mean", torch.zeros(shape.features) if mean is None else torch.as_tensor(mean))
        self.register_buffer("deviation", torch.ones(shape.features) if deviation is None else torch.as_tensor(deviation))
        self.register_buffer("temperature", torch.ones(shape.horizons))
        self.embed = nn.Linear(shape.patch * shape.features, shape.width)
        self.position = nn.Parameter(torch.randn(shape.sequence // shape.patch, shape.width) * 0.02)
        self.dropout = nn.Dropout(shape.dropout)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.depth))
        self.norm = nn.LayerNorm(2 * shape.width)
        self.head = nn.Linear(2 * shape.width, shape.horizons * CLASSES)
        nn.init.zeros_(self.head.weight)

    def logits(self, features):
        """Unnormalised log-probabilities [batch, horizon, 3], before the temperature."""
        x = ((features - self.mean) / self.deviation).clamp(-scaler.CLIP, scaler.CLIP)
        patches = x.reshape(-1, self.shape.sequence // self.shape.patch, self.shape.patch * self.shape.features)
        x = self.dropout(self.embed(patches) + self.position)
        for block in self.blocks:
            x = block(x)
        x = self.norm(torch.cat((x[:, -1], x.mean(dim=1)), dim=-1))
        return self.head(self.dropout(x)).unflatten(-1, (self.shape.horizons, CLASSES))

    def forward(self, features):
        return (self.logits(features) / self.temperature[:, None]).softmax(dim=-1)
