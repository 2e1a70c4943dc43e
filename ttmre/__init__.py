"""TTM-RE (Gao et al., ACL 2024): the paper and the released code."""
