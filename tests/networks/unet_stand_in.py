"""A small UNet with the layout, the names and the forward of diffusers' UNet2DConditionModel."""

from __future__ import annotations

import torch
from torch import nn


class Resnet(nn.Module):
    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.conv, self.time, self.skip = nn.Conv2d(inside, outside, 3, padding=1), nn.Linear(8, outside), nn.Conv2d(inside, outside, 1)

    def forward(self, input_tensor, temb):
        return self.skip(input_tensor) + (self.conv(input_tensor) + self.time(temb)[:, :, None, None]).relu()


class Attention(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = nn.Linear(6, channels)

    def forward(self, hidden_states, encoder_hidden_states=None, return_dict=True):
        out = hidden_states * torch.sigmoid(self.gate(encoder_hidden_states).mean(1))[:, :, None, None]
        assert not return_dict
        return (out,)


class Sampler(nn.Module):
    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.conv, self.up = nn.Conv2d(channels, channels, 3, padding=1, stride=stride), stride == 1

    def forward(self, hidden_states, output_size=None):
        if self.up:
            size = {"scale_factor": 2.0} if output_size is None else {"size": output_size}
            hidden_states = nn.functional.interpolate(hidden_states, mode="nearest", **size)
        return self.conv(hidden_states)


class Block(nn.Module):
    def __init__(self, resnets, channels, attends, down=False, up=False) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(resnets)
        if attends:
            self.attentions = nn.ModuleList(Attention(channels) for _ in resnets)
        self.attends = attends
        self.downsamplers = nn.ModuleList([Sampler(channels, 2)]) if down else None
        self.upsamplers = nn.ModuleList([Sampler(channels, 1)]) if up else None

    def layer(self, place, hidden, temb, words):
        hidden = self.resnets[place](hidden, temb)
        return self.attentions[place](hidden, encoder_hidden_states=words, return_dict=False)[0] if self.attends else hidden


class Down(Block):
    def forward(self, hidden_states, temb=None, encoder_hidden_states=None):
        outputs = ()
        for place in range(len(self.resnets)):
            hidden_states = self.layer(place, hidden_states, temb, encoder_hidden_states)
            outputs += (hidden_states,)
        for sampler in self.downsamplers or ():
            hidden_states = sampler(hidden_states)
            outputs += (hidden_states,)
        return hidden_states, outputs


class Middle(Block):
    def forward(self, hidden_states, temb=None, encoder_hidden_states=None):
        return self.layer(0, hidden_states, temb, encoder_hidden_states)


class Up(Block):
    def forward(self, hidden_states, skips, temb=None, encoder_hidden_states=None, upsample_size=None):
        for place in range(len(self.resnets)):
            hidden_states = torch.cat([hidden_states, skips[-1 - place]], 1)
            hidden_states = self.layer(place, hidden_states, temb, encoder_hidden_states)
        for sampler in self.upsamplers or ():
            hidden_states = sampler(hidden_states, upsample_size)
        return hidden_states


class UNet(nn.Module):
    """Two resolutions, two layers each on the way down."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(3, 4, 3, padding=1)
        self.time_embedding = nn.Linear(1, 8)
        self.down_blocks = nn.ModuleList(
            [Down([Resnet(4, 4), Resnet(4, 4)], 4, True, down=True), Down([Resnet(4, 8), Resnet(8, 8)], 8, False)]
        )
        self.mid_block = Middle([Resnet(8, 8)], 8, True)
        self.up_blocks = nn.ModuleList(
            [
                Up([Resnet(16, 8), Resnet(16, 8), Resnet(12, 8)], 8, False, up=True),
                Up([Resnet(12, 4), Resnet(8, 4), Resnet(8, 4)], 4, True),
            ]
        )
        self.conv_norm_out, self.conv_act, self.conv_out = nn.GroupNorm(2, 4), nn.SiLU(), nn.Conv2d(4, 3, 3, padding=1)

    def forward(self, sample, timestep, encoder_hidden_states):
        temb = self.time_embedding(timestep[:, None])
        hidden = self.conv_in(sample)
        skips = (hidden,)
        for block in self.down_blocks:
            hidden, more = block(hidden_states=hidden, temb=temb, encoder_hidden_states=encoder_hidden_states)
            skips += more
        hidden = self.mid_block(hidden, temb, encoder_hidden_states=encoder_hidden_states)
        for block in self.up_blocks:
            mine, skips = skips[-len(block.resnets) :], skips[: -len(block.resnets)]
            size = skips[-1].shape[2:] if skips else None
            hidden = block(hidden, mine, temb=temb, encoder_hidden_states=encoder_hidden_states, upsample_size=size)
        return self.conv_out(self.conv_act(self.conv_norm_out(hidden)))
