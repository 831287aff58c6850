// RestorePlan
