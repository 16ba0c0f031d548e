"""Muon for weight matrices, AdamW for the rest, with one time-based schedule of the learning rate."""

import math

import torch


def orthogonalise(matrices, steps=5):
    """Newton-Schulz iteration towards the nearest (semi-)orthogonal matrices; [count, rows, columns]."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrices.bfloat16()
    transposed = x.shape[1] > x.shape[2]
    if transposed:
        x = x.transpose(1, 2)
    x = x / (x.float().norm(dim=(1, 2), keepdim=True) + 1e-7).bfloat16()
    for _ in range(steps):
        gram = x @ x.transpose(1, 2)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.transpose(1, 2) if transposed else x).float()


class Muon(torch.optim.Optimizer):
    """Momentum whose update is orthogonalised; parameters of one shape are handled together."""

    def __init__(self, params, lr, momentum=0.95, weight_decay=0.0):
        super().__init__(list(params), dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            by_shape = {}
            for param in group["params"]:
                if param.grad is not None:
                    by_shape.setdefault((param.shape[0], param.numel() // param.shape[0]), []).append(param)
            for (rows, columns), params in by_shape.items():
                updates = []
                for param in params:
                    buffer = self.state[param].setdefault("momentum", torch.zeros_like(param))
                    buffer.lerp_(param.grad, 1 - group["momentum"])
                    updates.append(param.grad.lerp(buffer, group["momentum"]).reshape(rows, columns))
                updates = orthogonalise(torch.stack(updates))
                scale = group["lr"] * max(1.0, rows / columns) ** 0.5
                for param, update in zip(params, updates):
                    param.mul_(1 - group["lr"] * group["weight_decay"])
                    param.add_(update.reshape(param.shape), alpha=-scale)


class Optimizers:
    """Both optimisers; `progress` in 0..1 sets the rate: a short warm-up, a plateau, a linear fall to zero."""

    def __init__(self, matrices, rest, muon_lr, adam_lr, fall_from=0.5, warm_up_steps=30):
        self.optimizers = [torch.optim.AdamW(rest, lr=adam_lr, betas=(0.9, 0.98), weight_decay=0.0)]
        if matrices:
            self.optimizers.append(Muon(matrices, lr=muon_lr))
        self.peak = [group["lr"] for optimizer in self.optimizers for group in optimizer.param_groups]
        self.params = list(matrices) + list(rest)
        self.fall_from, self.warm_up_steps, self.steps = fall_from, warm_up_steps, 0

    def step(self, progress):
        self.steps += 1
        rate = min(1.0, self.steps / self.warm_up_steps)
        rate *= min(1.0, max(0.0, (1 - progress) / (1 - self.fall_from)) + 1e-3)
        groups = [group for optimizer in self.optimizers for group in optimizer.param_groups]
        for group, peak in zip(groups, self.peak):
            group["lr"] = peak * rate
        norm = torch.nn.utils.clip_grad_norm_(self.params, 1.0)
        if math.isfinite(float(norm)):
            for optimizer in self.optimizers:
                optimizer.step()
        for param in self.params:
            param.grad = None
        return float(norm)
